//! Choices of a simulation. In: a seed. Out: the same choices for the same seed.

pub(super) use crate::limit::fleet::simulation::random::Random;

/// One of these.
pub(super) fn pick<T: Copy>(random: &mut Random, from: &[T]) -> T {
    from[random.below(from.len())]
}

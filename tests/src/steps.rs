//! What a tour prints: one line a step. In: what was done, what came of it, and whether that was expected. Out: lines
//! on standard output, and the verdict.

/// The steps so far.
#[derive(Debug, Default)]
pub struct Steps {
    count: usize,
    surprises: usize,
}

impl Steps {
    /// Prints one line: who did what, what came of it, and what else is worth seeing. `good`: it was as expected.
    pub fn step(&mut self, good: bool, who: &str, what: &str, outcome: &str, notes: &str) {
        self.count += 1;
        self.surprises += usize::from(!good);
        let mark = if good { "✓" } else { "✗" };
        println!("{mark} {:>2}  {who:<38}{what:<28}{outcome:<25}{notes}", self.count);
    }

    /// Prints below a step what it should have come to.
    pub fn expected(&self, what: &str) {
        println!("      expected {what}");
    }

    /// Prints how many steps were as expected. `true` if all were.
    pub fn sum_up(&self) -> bool {
        println!("\n{} of {} steps as expected.", self.count - self.surprises, self.count);
        self.surprises == 0
    }
}

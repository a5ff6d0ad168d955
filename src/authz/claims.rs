//! Claims: whether a token says what a route demands. In: the rules of a route, the token. Out: nothing, or the rule that refuses and why.
//!
//! A claim of a type that its test is not for makes the whole rule refuse, wherever it stands in it, also under `not`: nobody knows what
//! was meant. A claim that is missing is just that: it is in no list, equals nothing, and `not` lets it pass.

use std::rc::Rc;

use crate::authz::Denial;
use crate::authz::said::{Said, said};
use crate::json::Value;
use crate::policy::{ClaimDemand, ClaimRule, ClaimTest, ClaimValue, Fact};
use crate::reason::Reason;
use crate::token::AccessToken;

/// All rules hold.
pub fn satisfied(rules: &[Rc<ClaimRule>], token: &AccessToken) -> Result<(), Denial> {
    rules.iter().try_for_each(|rule| match holds(&rule.demand, token) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Denial::by(Reason::ClaimRefused, &rule.path, "the claims do not say so")),
        Err(OddClaim) => {
            Err(Denial::by(Reason::ClaimRefused, &rule.path, "a claim is of a type that the rule is not for"))
        }
    })
}

/// A claim of a type that its test is not for.
struct OddClaim;

/// Everything is looked at: an odd claim is found whatever the others say.
fn holds(demand: &ClaimDemand, token: &AccessToken) -> Result<bool, OddClaim> {
    match demand {
        ClaimDemand::Of(fact, test) => passes(test, fact, token),
        ClaimDemand::All(demands) => demands.iter().try_fold(true, |all, demand| Ok(holds(demand, token)? && all)),
        ClaimDemand::Any(demands) => demands.iter().try_fold(false, |any, demand| Ok(holds(demand, token)? || any)),
        ClaimDemand::Not(demand) => holds(demand, token).map(|holds| !holds),
    }
}

fn passes(test: &ClaimTest, fact: &Fact, token: &AccessToken) -> Result<bool, OddClaim> {
    let said = said(token, fact);
    match (test, said) {
        (ClaimTest::Present(wanted), said) => Ok(matches!(said, Said::Nothing) != *wanted),
        (_, Said::Nothing) => Ok(false),
        (ClaimTest::OneOf(values), said) => is_one_of(values, said),
        (ClaimTest::Contains(words), Said::Text(text)) => Ok(text.split(' ').any(|word| is_among(words, word))),
        (ClaimTest::Contains(words), Said::Value(Value::Array(items))) => {
            items.iter().try_fold(false, |found, item| {
                Ok(match item {
                    Value::Text(text) => is_among(words, text),
                    Value::Integer(number) => is_among(words, &number.to_string()),
                    _ => return Err(OddClaim),
                } || found)
            })
        }
        (ClaimTest::Within { min, max }, Said::Value(Value::Integer(number))) => {
            Ok(min.is_none_or(|min| min <= *number) && max.is_none_or(|max| *number <= max))
        }
        // Bounds are whole numbers that a decimal can be exactly.
        (ClaimTest::Within { min, max }, Said::Value(Value::Decimal(number))) => {
            Ok(min.is_none_or(|min| min as f64 <= *number) && max.is_none_or(|max| *number <= max as f64))
        }
        (ClaimTest::Contains(_) | ClaimTest::Within { .. }, Said::Text(_) | Said::Value(_)) => Err(OddClaim),
    }
}

fn is_among(words: &[Box<str>], text: &str) -> bool {
    words.iter().any(|word| **word == *text)
}

/// Odd is also a text where only true or false is asked for, and the other way round.
fn is_one_of(values: &[ClaimValue], said: Said<'_>) -> Result<bool, OddClaim> {
    let texts = || values.iter().filter_map(|value| if let ClaimValue::Text(text) = value { Some(text) } else { None });
    let flags =
        || values.iter().filter_map(|value| if let ClaimValue::Flag(flag) = value { Some(*flag) } else { None });
    let is_text = |said: &str| texts().next().is_some().then(|| texts().any(|text| **text == *said)).ok_or(OddClaim);
    match said {
        Said::Nothing => Ok(false),
        Said::Text(text) => is_text(text),
        Said::Value(Value::Integer(number)) => is_text(&number.to_string()),
        Said::Value(Value::Bool(said)) => {
            flags().next().is_some().then(|| flags().any(|flag| flag == *said)).ok_or(OddClaim)
        }
        Said::Value(_) => Err(OddClaim),
    }
}

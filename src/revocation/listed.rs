//! Revocations that stand in the configuration, kept as they are. In: values of each kind. Out: whether they name a token.

use std::collections::BTreeMap;

use crate::json::{Object, Value};
use crate::revocation::{ALL, ISSUED_BEFORE, KINDS, Kind, Revocable};
use crate::time::UnixMillis;

/// A value and the moment before which what has it is revoked; without one, all that has it is.
type Values = BTreeMap<Box<[u8]>, Option<UnixMillis>>;

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Listed {
    values: [Values; KINDS],
    all_before: Option<UnixMillis>,
}

impl Listed {
    /// Reads what has the form of a document of revocations. `wrong` is told the members on the way to each thing that is wrong, and
    /// what that is.
    pub fn read(members: &Object, mut wrong: impl FnMut(&[&str], String)) -> Self {
        let mut listed = Self::default();
        for (name, value) in members.members() {
            match (Kind::of_member(name), value) {
                (Some(kind), Value::Array(items)) => {
                    for item in items {
                        if let Err(what) = listed.add(kind, item.as_text(), None) {
                            wrong(&[name], format!("has a value that is {what}"));
                        }
                    }
                }
                (Some(_), _) => wrong(&[name], "not a list".to_owned()),
                (None, Value::Object(moments)) if name == ISSUED_BEFORE => listed.read_moments(moments, &mut wrong),
                (None, _) => wrong(&[name], "unknown here".to_owned()),
            }
        }
        listed
    }

    fn read_moments(&mut self, moments: &Object, wrong: &mut impl FnMut(&[&str], String)) {
        for (name, value) in moments.members() {
            match (Kind::of_member(name), value) {
                (Some(kind @ (Kind::Subject | Kind::ClientId)), Value::Object(values)) => {
                    for (text, value) in values.members() {
                        let added = moment(value).and_then(|moment| self.add(kind, Some(text), Some(moment)));
                        if let Err(what) = added {
                            wrong(&[ISSUED_BEFORE, name, text], what.to_owned());
                        }
                    }
                }
                (None, value) if name == ALL => match moment(value) {
                    Ok(moment) => self.all_before = Some(moment),
                    Err(what) => wrong(&[ISSUED_BEFORE, name], what.to_owned()),
                },
                _ => wrong(&[ISSUED_BEFORE, name], "unknown here".to_owned()),
            }
        }
    }

    fn add(&mut self, kind: Kind, text: Option<&str>, moment: Option<UnixMillis>) -> Result<(), &'static str> {
        let value = kind.value(text.ok_or("no text")?)?;
        if let Some(values) = self.values.get_mut(kind as usize) {
            let there = values.entry(value.into()).or_insert(moment);
            *there = there.and(moment);
        }
        Ok(())
    }

    /// Whether they name a token.
    pub fn name(&self, token: &Revocable<'_>) -> bool {
        self.all_before.is_some_and(|moment| token.is_older_than(moment))
            || token.values().any(|(kind, value)| {
                let moment = self.values.get(kind as usize).and_then(|values| values.get(value));
                moment.is_some_and(|moment| moment.is_none_or(|moment| token.is_older_than(moment)))
            })
    }

    /// Whether nothing is listed.
    pub fn is_empty(&self) -> bool {
        self.all_before.is_none() && self.values.iter().all(BTreeMap::is_empty)
    }
}

fn moment(value: &Value) -> Result<UnixMillis, &'static str> {
    let number = value.as_number().and_then(UnixMillis::from_numeric_date);
    number.ok_or("no moment: seconds since 1970, as in tokens")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{Bounds, parse};

    fn read(text: &str) -> (Listed, Vec<String>) {
        let value = parse(text.as_bytes(), Bounds::CONFIG).unwrap();
        let mut faults = Vec::new();
        let listed =
            Listed::read(value.as_object().unwrap(), |path, what| faults.push(format!("{} {what}", path.join("."))));
        (listed, faults)
    }

    #[test]
    fn a_token_is_named_by_its_values_and_by_its_age() {
        let values = [Some(&b"t1"[..]), Some(b"alice"), Some(b"app"), None, None, None];
        let token = Revocable { values, issued: Some(UnixMillis::from_millis(5000)) };
        for (text, named) in [
            (r#"{"jti":["t1"]}"#, true),
            (r#"{"jti":["t2"],"sub":["app"],"client_id":["alice"]}"#, false),
            (r#"{"sub":["alice"]}"#, true),
            (r#"{"issued_before":{"sub":{"alice":6}}}"#, true),
            (r#"{"issued_before":{"sub":{"alice":5}}}"#, false),
            (r#"{"issued_before":{"sub":{"alice":5}},"sub":["alice"]}"#, true),
            (r#"{"issued_before":{"client_id":{"app":6}}}"#, true),
            (r#"{"issued_before":{"all":6}}"#, true),
            (r#"{"issued_before":{"all":5}}"#, false),
        ] {
            let (listed, faults) = read(text);
            assert_eq!((listed.name(&token), faults), (named, Vec::new()), "{text}");
        }
    }

    #[test]
    fn everything_that_is_wrong_is_told() {
        let (listed, faults) = read(
            r#"{"jti":["",1],"sub":"a","other":[],"x5t#S256":["x"],"jkt":["x"],"issued_before":{"sid":{},"all":"x","sub":{"a":null}}}"#,
        );
        let expected = [
            "jti has a value that is empty",
            "jti has a value that is no text",
            "sub not a list",
            "other unknown here",
            "x5t#S256 has a value that is no thumbprint: 43 characters of base64url",
            "jkt has a value that is no thumbprint: 43 characters of base64url",
            "issued_before.sid unknown here",
            "issued_before.all no moment: seconds since 1970, as in tokens",
            "issued_before.sub.a no moment: seconds since 1970, as in tokens",
        ];
        assert_eq!(faults, expected);
        assert!(listed.is_empty());
    }
}

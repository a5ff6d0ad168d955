//! Where the client's certificate is read. In: the key `peer.from`. Out: the one source there is, or a finding.

use crate::config::finding::{Findings, Place, quoted};
use crate::config::table::{Key, Written, not_what};
use crate::json::Value;

/// Where the client's certificate is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PeerFrom {
    /// The TLS connection that ends at this proxy.
    Tls,
}

impl Key for PeerFrom {
    fn read(value: &Value, at: &Place, findings: &mut Findings) -> Option<Self> {
        const REMEDY: &str = "Write \"tls\".";
        let word = match value {
            Value::Text(word) => word.as_str(),
            Value::Object(source) if source.get("xfcc").is_some() => "xfcc",
            other => {
                findings.add(at, not_what(other, "a word"), REMEDY);
                return None;
            }
        };
        match word {
            "tls" => return Some(Self::Tls),
            "xfcc" | "mesh-principal" => findings.add(at, format!("\"{word}\" is not supported yet"), REMEDY),
            _ => findings.add(at, format!("{} is unknown here", quoted(word)), REMEDY),
        }
        None
    }

    fn schema() -> serde_json::Value {
        serde_json::json!({ "const": "tls" })
    }
}

impl Written for PeerFrom {
    fn written(&self) -> serde_json::Value {
        match self {
            Self::Tls => "tls".into(),
        }
    }
}

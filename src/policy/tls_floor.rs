//! The oldest version of TLS that a resource is served over. Plain data, and whether a connection has it.
//! Not here: where that is asked (`exchange`), what the proxy offers (its own configuration).

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsFloor {
    /// TLS 1.2 (RFC 5246).
    V12,
    /// TLS 1.3 (RFC 9846).
    V13,
}

impl TlsFloor {
    /// As it is written in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::V12 => "1.2",
            Self::V13 => "1.3",
        }
    }

    /// Whether a connection will do whose version the proxy calls so; `None`: it has no TLS. A name that is not known is none of
    /// a version that is good enough.
    pub fn admits(self, version: Option<&[u8]>) -> bool {
        match (self, version) {
            (_, Some(b"TLSv1.3")) | (Self::V12, Some(b"TLSv1.2")) => true,
            (Self::V12 | Self::V13, _) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_versions_that_are_known_and_new_enough_will_do() {
        for (version, old, new) in [
            (Some(&b"TLSv1.3"[..]), true, true),
            (Some(b"TLSv1.2"), true, false),
            (Some(b"TLSv1.1"), false, false),
            (Some(b"TLSv1"), false, false),
            (Some(b"TLSv1.30"), false, false),
            (Some(b"tlsv1.3"), false, false),
            (Some(b""), false, false),
            (None, false, false),
        ] {
            assert_eq!((TlsFloor::V12.admits(version), TlsFloor::V13.admits(version)), (old, new), "{version:?}");
        }
    }
}

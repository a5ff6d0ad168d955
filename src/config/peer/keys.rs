//! The keys of a peer, declared once. In: nothing. Out: the structs that this room compiles, and, through them, the JSON
//! Schema.

use crate::config::peer::PeerFrom;
use crate::config::peer::patterns::PeerText;
use crate::config::reading::finding::{Findings, Place};
use crate::config::reading::table::{At, Key, Reader, Table, Written, config_table, described, not_what, with_default};
use crate::config::reading::values::Span;
use crate::json::Object;
use crate::json::Value;

config_table! {
    /// Where the client's certificate is read.
    PeerTable {
        /// The TLS connection that ends at this proxy.
        from: PeerFrom = default(PeerFrom::Tls),
        /// Whether a certificate counts as validated where Envoy does not say (before 1.39). Right only if every
        /// listener validates all certificates against a trusted CA.
        insecure_assume_validated: bool = default(false),
        /// How long before its end a caller's certificate is told to be about to end, in the audit record and in a counter.
        warn_before: Span<0, 31_536_000> = default(Span::seconds(30 * 86_400)),
    }
}

config_table! {
    /// A header by which a hop in front conveys the certificate of its client.
    PeerFromTable {
        /// `x-forwarded-client-cert`, as Envoy writes it.
        xfcc: TrustedHopsTable = optional,
        /// `Client-Cert` (RFC 9440).
        client_cert: TrustedHopsTable = optional,
    }
}

config_table! {
    /// Who may speak for others.
    TrustedHopsTable {
        /// The hops that are believed, by the validated certificates of their own connections; as in `peers` of a route.
        trusted: Vec<At<PeerText>> = required,
        /// Whether all others may call by the certificates of their own connections.
        direct: bool = default(false),
    }
}

config_table! {
    /// Where the certificate of a resource's callers is read.
    ResourcePeerTable {
        /// As `peer.from`.
        from: PeerFrom = required,
    }
}

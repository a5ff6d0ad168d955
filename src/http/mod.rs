//! HTTP as this filter reads it: where a request goes and what its head says, in one reading only. In: header bytes as
//! the proxy holds them. Out: [`HeaderMap`], [`Head`], [`Authority`], [`HostPattern`], [`CanonicalPath`],
//! [`query_parameter`], [`HttpsUrl`], [`TargetUri`], [`AnswerForm`], [`MediaRange`].
//! Not here: which routes exist (`policy`).

mod answer_form;
mod authority;
mod head;
mod header_map;
mod host_pattern;
mod media_type;
mod path;
mod query;
mod target_uri;
mod url;

pub use answer_form::AnswerForm;
pub use authority::{Authority, AuthorityFault};
pub use head::{Head, HeadFault, Unread};
pub use header_map::{HeaderMap, HeaderMapFault, encode};
pub use host_pattern::{HostNames, HostPattern, HostPatternFault};
pub use media_type::{MediaRange, MediaRangeFault};
pub use path::{CanonicalPath, PathFault, SegmentSet, is_segment, plain, unescaped};
pub use query::{QueryFault, query_parameter};
pub use target_uri::TargetUri;
pub use url::{HttpsUrl, HttpsUrlFault};

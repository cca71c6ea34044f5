//! What the daemon tells about itself: log lines with the id of the call they belong
//! to (`logs`, `lines`, `request_id`), figures (`metrics`), health (`http`, `live`), and, where
//! it is asked to, events on pods (`events`).
//!
//! This room is told things by the others and decides nothing for them: whatever goes
//! wrong here, a mount is answered as it would have been.

pub mod events;
pub mod http;
pub mod lines;
pub mod live;
pub mod logs;
pub mod metrics;
pub mod request_id;

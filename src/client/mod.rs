//! The writers' side: an audit is on this machine's disk before its writer hears "kept", and a sender brings it to the server,
//! in order and once, however long that takes.

pub mod spool;

//! The queue of audits on disk: segment files, written and synced in groups, and how far they are settled.

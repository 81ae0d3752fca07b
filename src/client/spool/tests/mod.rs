//! Tests of the spool: on the machine's disk, and on one that loses power and makes mistakes.

mod machine;
mod speed;

//! Tests of the spool: on the machine's disk, and on one that loses power and makes mistakes.

mod faults;
mod histories;
mod letters;
mod machine;
mod model;
mod reads;
mod simulated;
mod speed;

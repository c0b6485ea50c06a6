//! Random crashes of a merge that keeps a journal: after any number of them, each line is in the output once.
//!
//! One seed is one schedule. `TAILMERGE_CRASHES=<seed>` runs that one, and prints what is done on the disk.

mod disk;
mod merge;
mod tests;

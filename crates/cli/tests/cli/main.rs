//! The program as its users meet it: started as a process, judged by its output, its messages and its
//! exit status.

mod descriptors;
mod follow;
mod limits;
mod lines;
mod links;
mod names;
mod once;
mod output;
mod pseudo;
mod readme;
mod reopen;
mod report;
mod state;
mod stop;
mod stream;
mod tool;
mod trees;
mod usage;
mod verify;
mod watch;

//! A hostile directory: somebody who may write where a victim's log is does what he can to stop the program, to slow it
//! down, or to have it write what was never logged. The victim's lines must not suffer by it.
//!
//! An attacker, a process of its own (of the user nobody, when run as root), plays [`attacker::ATTACKS`] at random in a
//! sticky directory. A [`victim`] logs there as well. A [`control`] reader, a bare loop, tells how quickly the victim's
//! lines could be had on this machine just then, and the [`judge`] compares.
//!
//! The environment may say:
//!
//! * `TAILMERGE_HOSTILE_SECONDS`: how long each round is;
//! * `TAILMERGE_HOSTILE_BACKEND`, `_FORMAT` (`name`, `path`, `raw`, `json`), `_LINKS`, `_WATCH`: one round, with these;
//! * `TAILMERGE_HOSTILE_ATTACKS`: the names of some attacks, with commas, in place of all;
//! * `TAILMERGE_HOSTILE_PROGRAM`: another build of the program;
//! * `TAILMERGE_TEST_SEED`: the seed that a failed round told.

mod attacker;
mod control;
mod judge;
#[path = "../producers/kit.rs"]
#[expect(dead_code, reason = "shared with the tests of real producers, which need more of it")]
mod kit;
mod meter;
mod output;
mod round;
mod sweep;
#[path = "../cli/tool.rs"]
#[expect(dead_code, reason = "shared with the other tests of the program, which need more of it")]
mod tool;
mod victim;

use crate::round::Setup;

#[test]
#[cfg_attr(debug_assertions, ignore = "processor time is promised of the release build: cargo test --release")]
fn a_hostile_directory_harms_no_log_beside() {
    let setups = Setup::asked().map_or_else(
        || vec![Setup::new("smol", "name", None), Setup::new("async-std", "raw", None)],
        |setup| vec![setup],
    );
    for setup in setups {
        round::play(&setup, 10);
    }
}

#[test]
#[ignore = "takes half an hour"]
fn a_hostile_directory_harms_no_log_beside_for_long() {
    let setups = Setup::asked().map_or_else(
        || {
            vec![
                Setup::new("smol", "name", None),
                Setup::new("async-std", "name", None),
                Setup::new("smol", "raw", None),
                Setup::new("async-std", "json", None),
                Setup::new("smol", "path", None),
                Setup::new("async-std", "raw", None),
            ]
        },
        |setup| vec![setup],
    );
    for setup in setups {
        round::play(&setup, 300);
    }
}

#[test]
#[ignore = "is the attacker's process, which the other tests start"]
fn attacker_process() {
    attacker::process();
}

//! The cases, by topic. Each is a function of the backend that it is to be tried on, and panics if it fails.

/// Names the cases of the file that it stands in: `conformance!` makes a test of each. The compiler warns of a case that
/// is not named, since nothing uses it.
///
/// It makes the module `named` of what the tests call, and the macro of the topic's name that stamps them.
macro_rules! cases {
    ($topic:ident: $($case:ident)*) => {
        cases! { $topic by run: $($case)* }
    };
    ($topic:ident, each in its own process: $($case:ident)*) => {
        cases! { $topic by run_alone: $($case)* }
    };
    ($topic:ident by $run:ident: $($case:ident)*) => {
        #[doc(hidden)]
        pub mod named {
            $(
                pub fn $case<B: tailmerge_core::Backend>(test: &str, backend: impl Fn() -> B + Send + 'static) {
                    crate::kit::assert_usable(test, &backend);
                    crate::kit::$run(test, move || super::$case(backend()));
                }
            )*
        }

        #[doc(hidden)]
        #[macro_export]
        macro_rules! $topic {
            () => {
                mod $topic {
                    $(
                        #[test]
                        fn $case() {
                            let test = concat!(module_path!(), "::", stringify!($case));
                            $crate::__cases::$topic::$case(test, super::__given::backend);
                        }
                    )*
                }
            };
        }
    };
}

/// Names the topics. The compiler warns of one that is not named, since nothing uses it.
macro_rules! topics {
    ($($topic:ident)*) => {
        #[doc(hidden)]
        pub mod named {
            $(pub use super::$topic::named as $topic;)*
        }

        #[doc(hidden)]
        #[macro_export]
        macro_rules! __topics {
            () => {
                $($crate::$topic!();)*
            };
        }
    };
}

mod backend;
mod control;
mod fail;
mod follow;
mod host;
mod large;
mod logger;
mod observer;
mod once;
mod own;
mod process;
mod remote;
mod send;
mod soak;
mod stall;
mod stop;
mod tailers;
mod writer;

topics! {
    backend
    control
    fail
    follow
    host
    large
    logger
    observer
    once
    own
    process
    remote
    send
    soak
    stall
    stop
    tailers
    writer
}

use std::future::Future;
use std::thread;
use std::time::Duration;
use tailmerge::Backend;

#[derive(Clone, Debug)]
struct Threads;

impl Backend for Threads {
    fn block_on<F: Future>(&self, future: F) -> F::Output {
        futures_lite::future::block_on(future)
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        thread::spawn(|| futures_lite::future::block_on(task));
    }

    fn unblock<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = T> + Send + 'static {
        blocking::unblock(job)
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send + 'static {
        blocking::unblock(move || thread::sleep(duration))
    }
}

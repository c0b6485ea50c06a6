use std::error::Error;
use std::io::Write;
use std::time::Duration;
use tailmerge::{Builder, Report};

fn merge_logs() -> Result<Report, Box<dyn Error>> {
    let merge = tailmerge::start_blocking(Builder::new().input("logs/*.log").output("all.log"))?;
    writeln!(merge.sender("app"), "started")?;
    let report = merge.stop_blocking(Duration::from_secs(10))?;
    if report.is_complete() { Ok(report) } else { Err(format!("not all is in the output: {report:?}").into()) }
}

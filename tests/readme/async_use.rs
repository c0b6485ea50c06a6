use std::error::Error;
use std::time::Duration;
use tailmerge::{Builder, Report, Smol};

async fn merge_logs() -> Result<Report, Box<dyn Error>> {
    let merge = Builder::new().input("logs/*.log").output("all.log").start_on(Smol::new()).await?;

    // The program's own lines, into the same output.
    merge.sender("app").send("started").await?;
    merge.flush().await?;

    // Reads what is there now, writes it, flushes, and ends the writer's thread.
    let report = merge.stop(Duration::from_secs(10)).await?;
    if !report.is_complete() {
        eprintln!("not all is in the output: {} gaps, {} inputs failed", report.gap_count, report.failed_input_count);
    }
    Ok(report)
}

use std::error::Error;
use futures_lite::StreamExt;
use tailmerge::{Smol, tail};

async fn lines_until_empty() -> Result<Vec<Vec<u8>>, Box<dyn Error>> {
    let mut lines = tail("logs/*.log").lines_on(Smol::new()).await?;
    let mut seen = Vec::new();
    while let Some(line) = lines.next().await.transpose()? {
        if line.bytes.is_empty() {
            break;
        }
        seen.push(line.bytes);
    }
    Ok(seen)
}

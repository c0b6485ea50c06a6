//! What an output holds is given up for a merge, but not by mistake: not where it may be meant as an input, and not
//! for nothing.

use super::{Builder, Output};
use crate::fs::Kind;
use crate::merge::StartError;
use crate::tail::{find_file, nothing_to_read};

impl Builder {
    /// Refuses to empty an output by mistake. Blocks: it looks at the output, and if that holds
    /// something at the inputs.
    pub(in crate::merge) fn check_output(&self) -> Result<(), StartError> {
        let Output::File(output) = &self.output else { return Ok(()) };
        let held = self.fs.stat(output).ok().filter(|stat| stat.kind == Kind::File && stat.size > 0);
        let Some(held) = held.filter(|_| !self.append) else { return Ok(()) };
        let (specs, excludes) = self.specs()?;
        if let Some((path, pattern)) = find_file(&*self.fs, &specs, &excludes, held.id) {
            return Err(StartError::setting(format!(
                "{} is the output and matches {pattern}: what it holds would be lost; exclude it, choose another \
                 output, or append",
                path.display()
            )));
        }
        let files_only = !self.stdin && self.tailers.is_empty();
        if self.once
            && files_only
            && !specs.is_empty()
            && let Some(reasons) = nothing_to_read(&*self.fs, &specs, &excludes, &self.never_ids())
        {
            let (output, reasons) = (output.display(), reasons.join("; "));
            return Err(StartError::world(format!("{output} is left as it is, nothing can be read: {reasons}")));
        }
        Ok(())
    }
}

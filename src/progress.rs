//! How far a command is, for a person at a terminal. Where standard error is none (a script, a log, a container), nothing is drawn.

use std::io::{self, Write};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressFinish, ProgressStyle};

const BAR: &str = "{msg} {wide_bar} {pos}/{len}  {elapsed} of about {duration}";
const SPINNER: &str = "{spinner} {msg} {elapsed}";
/// A spinner turns so often.
const TURN: Duration = Duration::from_millis(120);

/// The bars of a command. They go away when what they tell of has ended, well or not.
#[derive(Debug, Clone)]
pub struct Progress(MultiProgress);

impl Progress {
    /// On standard error, where that is a terminal.
    pub fn on_terminal() -> Self {
        Self(MultiProgress::new())
    }

    /// For servers and tests: nobody looks.
    pub fn none() -> Self {
        Self(MultiProgress::with_draw_target(ProgressDrawTarget::hidden()))
    }

    /// Something of so many steps; whoever works says `inc`.
    pub fn bar(&self, what: &'static str, steps: usize) -> ProgressBar {
        self.add(ProgressBar::new(steps as u64), BAR, what)
    }

    /// Something of which nobody knows how long it takes.
    pub fn spinner(&self, what: &'static str) -> ProgressBar {
        let spinner = self.add(ProgressBar::new_spinner(), SPINNER, what);
        if !spinner.is_hidden() {
            spinner.enable_steady_tick(TURN);
        }
        spinner
    }

    fn add(&self, bar: ProgressBar, template: &str, what: &'static str) -> ProgressBar {
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        self.0.add(bar.with_style(style).with_message(what).with_finish(ProgressFinish::AndClear))
    }

    /// Standard error for the log: its lines go above the bars.
    pub fn stderr(&self) -> impl Write + Send + 'static {
        Above(self.0.clone())
    }
}

struct Above(MultiProgress);

impl Write for Above {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.suspend(|| io::stderr().write_all(bytes)).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_templates_are_sound() {
        for template in [BAR, SPINNER] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }

    #[test]
    fn where_nobody_looks_a_bar_still_counts() {
        let bar = Progress::none().bar("importing", 3);
        bar.inc(2);
        assert_eq!((bar.position(), bar.length(), bar.is_hidden()), (2, Some(3), true));
    }
}

//! The alert about observations that are expected and do not come.

use tracing::info;

use super::pass::Pass;
use super::watch::Watching;
use crate::judge::State;

impl Watching {
    /// Raises and ends the alert about observations that are expected and do not come.
    pub(super) fn note_expected(&mut self, pass: &mut Pass<'_>) {
        let Some(every) = self.watch.expect else {
            return;
        };
        let at = pass.at;
        if pass.rollout.idle {
            self.expecting.pause(at);
            return;
        }
        let judged = self.judged.iter();
        let present = judged.filter(|(_, verdict)| verdict.state != State::Stale);
        let texts = self.expecting.note(
            present.map(|(sample, _)| sample),
            &self.counted,
            pass.window,
            (every, self.watch.alert.interval),
            at,
        );
        let rule = &self.watch.alert;
        let changes = self.tracker.note_missing(rule, at, pass.context, &texts);
        for alert in &changes.alerts {
            info!(%alert, "expected observations");
        }
        pass.changes.extend(changes.alerts);
    }
}

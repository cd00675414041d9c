//! One pass over one body.

use std::time::Duration;

use super::decide::{Decision, Policy, Refusal, depends_on_family};
use super::ingested::Ingested;
use super::memo::{Entry, Index, Memo, NOWHERE, State};
use super::seen::Seen;
use super::strings::Strings;
use crate::exposition::parse::{Parser, Series, Suffix, quick_value};
use crate::exposition::{Exposition, ExpositionError, Format, Limit};
use crate::metric::hash_bytes;
use crate::metric::{Appender, SeriesRef, Timestamp};

/// How far a sample's own timestamp may be ahead of the scrape, as in Prometheus.
const MAX_AHEAD: Duration = Duration::from_secs(600);

/// How many expected lines may be missing before a line is looked up in the index.
const LOOKAHEAD: usize = 8;

/// Most lines in the memo, 48 MiB; further lines are parsed like new series at every scrape.
const MAX_LINES: usize = 2 << 20;

/// The state of one pass.
///
/// It starts in order: every line is expected to be the memo's next one, and the memo is not
/// written. At the first line that differs, a new list of lines is started, and from there on
/// stored series are tracked to find duplicates.
pub(super) struct Pass<'p, A> {
    policy: &'p Policy,
    old: &'p mut Memo,
    next: Option<Vec<Entry>>,
    body: &'p [u8],
    format: Format,
    at: Timestamp,
    parser: Parser<'p>,
    series: Series,
    appender: &'p mut A,
    expected: usize,
    index: Option<Index>,
    seen: Seen,
    strings: Strings,
    seed: u64,
    context: u32,
    full: bool,
    counts: Ingested,
}

impl<'p, A: Appender> Pass<'p, A> {
    pub(super) fn new(
        policy: &'p Policy,
        old: &'p mut Memo,
        exposition: &'p Exposition,
        appender: &'p mut A,
        seed: u64,
    ) -> Self {
        let next = old.entries.is_empty().then(|| {
            old.reserve(exposition.body.len());
            Vec::new()
        });
        Self {
            policy,
            old,
            next,
            body: &exposition.body,
            format: exposition.format,
            at: exposition.at,
            parser: Parser::new(&exposition.body, exposition.format),
            series: Series::default(),
            appender,
            expected: 0,
            index: None,
            seen: Seen::default(),
            strings: Strings::new(seed),
            seed,
            context: 1,
            full: false,
            counts: Ingested::default(),
        }
    }

    /// The counts, the new lines if the scrape differs from the last one, and how many lines were
    /// in order.
    pub(super) fn finish(self) -> (Ingested, Option<Vec<Entry>>, usize) {
        (self.counts, self.next, self.expected)
    }

    /// Reads the whole body.
    pub(super) fn run(&mut self) -> Result<(), ExpositionError> {
        let mut family = self.parser.family();
        loop {
            self.streak();
            if !self.parser.seek_sample()? {
                return self.check_samples();
            }
            // Compared by place: comparing a long name at every line would be quadratic.
            if !std::ptr::eq(self.parser.family().name, family.name) {
                family = self.parser.family();
                let name = hash_bytes(family.name.as_bytes(), self.seed);
                let hash = name
                    .wrapping_add(family.kind as u64)
                    .wrapping_mul(self.seed | 1);
                // 0 marks entries that depend on no family.
                self.context = u32::try_from(hash >> 32).unwrap_or(0).max(1);
            }
            if !self.in_order()? {
                self.out_of_order()?;
            }
        }
    }

    /// Reads lines in order with plain decimal values, which nearly all lines are.
    #[inline]
    fn streak(&mut self) {
        let mut at = self.parser.at();
        let mut expected = self.expected;
        while let Some(entry) = self.old.entries.get(expected) {
            let Some(end) = self.old.match_at(entry, self.body, at) else {
                break;
            };
            if entry.context != 0 && entry.context != self.context {
                break;
            }
            let Some((value, after)) = quick_value(self.body, end + 1) else {
                break;
            };
            match entry.state {
                State::Stored => {
                    let tracked = self.next.is_some();
                    if tracked && self.seen.contains(entry.series.index)
                        || !self.appender.append(entry.series, None, value)
                    {
                        break;
                    }
                    if tracked {
                        self.seen.insert(entry.series.index);
                    }
                    self.counts.stored += 1;
                }
                State::Unselected | State::CreationTime => self.counts.unselected += 1,
                State::Duplicate if self.next.is_none() => self.counts.duplicates += 1,
                State::Duplicate | State::Undecided | State::Refused => break,
            }
            if let Some(next) = &mut self.next {
                remember(next, *entry);
            }
            self.counts.samples += 1;
            expected += 1;
            at = after;
        }
        self.expected = expected;
        self.parser.go_to(at);
    }

    /// Reads the expected line, with any value; `false` if another line is here.
    fn in_order(&mut self) -> Result<bool, ExpositionError> {
        let line = self.parser.at();
        let Some(entry) = self.old.entries.get(self.expected) else {
            return Ok(false);
        };
        let Some(end) = self.old.match_at(entry, self.body, line) else {
            return Ok(false);
        };
        self.known(self.expected, line, end)
    }

    /// Reads a line whose series bytes are those of entry `slot` of the memo.
    fn known(&mut self, slot: usize, line: usize, end: usize) -> Result<bool, ExpositionError> {
        let entry = self.old.entries[slot];
        if self.has_labels_after(end) {
            return Ok(false);
        }
        self.parser.go_to(end);
        let suffix = self.parser.suffix()?;
        let stale = entry.context != 0 && entry.context != self.context;
        let undecided = stale || matches!(entry.state, State::Undecided | State::Refused);
        let (state, series, context) = if undecided {
            // The decision may give it the labels of another series, so look for duplicates from
            // here on.
            self.rebuild();
            self.decide_again(line, entry.state)?
        } else if matches!(entry.state, State::Stored | State::Duplicate) {
            (State::Stored, entry.series, entry.context)
        } else {
            (entry.state, entry.series, entry.context)
        };
        let duplicate = entry.state == State::Duplicate && self.next.is_none();
        let (state, series) = if duplicate && self.own_time(suffix).is_none() {
            self.counts.duplicates += 1;
            (State::Duplicate, series)
        } else {
            self.store(state, series, suffix, line)?
        };
        self.counts.samples += 1;
        self.expected = slot + 1;
        let state = if duplicate { State::Duplicate } else { state };
        let entry = entry.decided(state, series, context);
        match &mut self.next {
            Some(next) => remember(next, entry),
            None => self.old.entries[slot] = entry,
        }
        Ok(true)
    }

    /// Whether blanks and labels follow a bare name, so that its bytes alone are not the series.
    fn has_labels_after(&self, end: usize) -> bool {
        let rest = self.body.get(end..).unwrap_or_default();
        let next = rest.iter().find(|byte| !matches!(byte, b' ' | b'\t'));
        self.format == Format::Text && next == Some(&b'{')
    }

    /// Reads a line that is not the expected one: lines before it are gone, it has moved, or it is
    /// new.
    fn out_of_order(&mut self) -> Result<(), ExpositionError> {
        self.rebuild();
        let line = self.parser.at();
        if let Some((slot, end)) = self.find(line)
            && self.known(slot, line, end)?
        {
            return Ok(());
        }
        let mut series = std::mem::take(&mut self.series);
        let result = self.tokenized(line, &mut series);
        self.series = series;
        result
    }

    /// Reads a line with the full parser.
    fn tokenized(&mut self, line: usize, series: &mut Series) -> Result<(), ExpositionError> {
        self.parser.series(series)?;
        let range = series.range.clone();
        let suffix = self.parser.suffix()?;
        self.counts.samples += 1;
        if self.over_limit() {
            return Ok(());
        }
        let bytes = &self.body[range];
        let known = self
            .index
            .as_ref()
            .and_then(|index| index.find(self.old, bytes));
        if known.is_none() {
            self.counts.added += 1;
        }
        let (state, handle, context) = self.decide(line, series)?;
        let (state, handle) = self.store(state, handle, suffix, line)?;
        if let Some(next) = &mut self.next
            && next.len() < MAX_LINES
        {
            next.push(self.old.add(bytes).decided(state, handle, context));
        }
        Ok(())
    }

    /// Starts a new list of lines with those that were in order so far.
    pub(super) fn rebuild(&mut self) {
        if self.next.is_some() {
            return;
        }
        for entry in &self.old.entries[..self.expected] {
            if entry.state == State::Stored {
                self.seen.insert(entry.series.index);
            }
        }
        let mut next = Vec::with_capacity(self.old.entries.len() + 16);
        next.extend_from_slice(&self.old.entries[..self.expected]);
        self.next = Some(next);
    }

    /// The memo's entry for the line at `line`, and where its series ends. Searches the next
    /// entries, then the index.
    fn find(&mut self, line: usize) -> Option<(usize, usize)> {
        if self.old.entries.is_empty() {
            return None;
        }
        let ahead = self.old.entries.iter().enumerate().skip(self.expected);
        for (slot, entry) in ahead.take(LOOKAHEAD + 1) {
            if let Some(end) = self.old.match_at(entry, self.body, line) {
                return Some((slot, end));
            }
        }
        let end = series_end(self.body, line)?;
        let index = self
            .index
            .get_or_insert_with(|| Index::new(self.old, self.seed));
        let slot = index.find(self.old, &self.body[line..end])?;
        Some((slot, end))
    }

    /// Decides about a known line again, because the rules, its family or the limit on series
    /// changed.
    fn decide_again(
        &mut self,
        line: usize,
        before: State,
    ) -> Result<(State, SeriesRef, u32), ExpositionError> {
        if before == State::Refused && self.full {
            return Ok((State::Refused, NOWHERE, 0));
        }
        let after = self.parser.at();
        self.parser.go_to(line);
        let mut series = std::mem::take(&mut self.series);
        let result = self
            .parser
            .series(&mut series)
            .map_err(ExpositionError::from)
            .and_then(|()| self.decide(line, &series));
        self.series = series;
        self.parser.go_to(after);
        result
    }

    /// Decides about a tokenized series and resolves its handle.
    fn decide(
        &mut self,
        line: usize,
        series: &Series,
    ) -> Result<(State, SeriesRef, u32), ExpositionError> {
        let family = self.parser.family();
        let context = if depends_on_family(series, self.body, self.format) {
            self.context
        } else {
            0
        };
        let decision = self
            .policy
            .decide(series, self.body, family, self.format, &mut self.strings)
            .map_err(|refusal| match refusal {
                Refusal::Invalid(message) => self.parser.error(line, message).into(),
                Refusal::Limit(error) => error,
            })?;
        Ok(match decision {
            Decision::Unselected => (State::Unselected, NOWHERE, context),
            Decision::CreationTime => (State::CreationTime, NOWHERE, context),
            Decision::Store(labels) => match self.appender.resolve(&labels) {
                Some(handle) => (State::Stored, handle, context),
                None => {
                    self.full = true;
                    (State::Refused, NOWHERE, context)
                }
            },
        })
    }

    /// Counts a sample and appends it if its series is stored.
    fn store(
        &mut self,
        state: State,
        series: SeriesRef,
        suffix: Suffix,
        line: usize,
    ) -> Result<(State, SeriesRef), ExpositionError> {
        match state {
            State::Stored | State::Duplicate => {}
            State::Refused => {
                self.counts.refused += 1;
                return Ok((state, series));
            }
            State::Unselected | State::CreationTime | State::Undecided => {
                self.counts.unselected += 1;
                return Ok((state, series));
            }
        }
        let own = self.own_time(suffix);
        // A repeated sample with its own timestamp is stored, but its line is still a duplicate.
        let first = self.next.is_none() || self.seen.insert(series.index);
        let taken = if first {
            State::Stored
        } else {
            State::Duplicate
        };
        if !first && own.is_none() {
            self.counts.duplicates += 1;
            return Ok((taken, series));
        }
        if own.is_some_and(|own| own > self.at + MAX_AHEAD) {
            self.counts.out_of_bounds += 1;
            return Ok((taken, series));
        }
        if self.appender.append(series, own, suffix.value) {
            self.counts.stored += 1;
            return Ok((taken, series));
        }
        // The handle is no longer valid: the window has reused it. Resolve the series again.
        let (state, series, _) = self.decide_again(line, State::Undecided)?;
        if state == State::Stored {
            self.seen.insert(series.index);
            self.counts.stored += u64::from(self.appender.append(series, own, suffix.value));
        } else {
            self.counts.refused += 1;
        }
        Ok((state, series))
    }

    /// The sample's own timestamp, if it has one and timestamps are honored.
    fn own_time(&self, suffix: Suffix) -> Option<Timestamp> {
        suffix
            .at
            .filter(|_| self.policy.honor_timestamps)
            .map(Timestamp::from_millis)
    }

    fn over_limit(&self) -> bool {
        let limit = self.policy.limits.samples;
        limit != 0 && self.counts.samples > limit
    }

    /// Checks the number of samples at the end of the body.
    fn check_samples(&mut self) -> Result<(), ExpositionError> {
        self.counts.post_relabeling = self.counts.samples;
        if !self.over_limit() {
            return Ok(());
        }
        Err(ExpositionError::Limit {
            setting: Limit::Samples,
            limit: self.policy.limits.samples,
            found: self.counts.samples,
            what: "the number of samples".to_owned(),
        })
    }
}

/// Keeps a line for the next scrape, up to the limit.
#[inline]
fn remember(lines: &mut Vec<Entry>, line: Entry) {
    if lines.len() < MAX_LINES {
        lines.push(line);
    }
}

/// Guesses from the end of a line where its series ends; a lookup of the bytes confirms the guess.
fn series_end(body: &[u8], line: usize) -> Option<usize> {
    let rest = body.get(line..)?;
    let rest = &rest[..memchr::memchr(b'\n', rest)?];
    let len = match memchr::memrchr(b'}', rest) {
        Some(brace) => brace + 1,
        None => memchr::memchr2(b' ', b'\t', rest)?,
    };
    Some(line + len)
}

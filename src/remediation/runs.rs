//! From what an entity tells of its work — "began", "ran from … until …", "stopped" — to the runs that it made.

use chrono::{DateTime, Utc};

use crate::audit::facts::Sureness;

/// One thing told about an entity's work.
#[derive(Clone, Copy, Debug)]
pub struct Piece {
    pub at: DateTime<Utc>,
    /// Its place in the order of telling.
    pub told: usize,
    pub what: What,
}

#[derive(Clone, Copy, Debug)]
pub enum What {
    Start { sureness: Sureness, part: &'static str, end: End },
    Stop { sureness: Sureness },
}

/// What a piece that starts says about its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Untold,
    At(DateTime<Utc>),
    /// After the moment that is asked about.
    Later,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    pub start: DateTime<Utc>,
    pub end: Option<DateTime<Utc>>,
    /// It is known to end, after the moment that is asked about.
    pub later: bool,
}

/// The runs of one entity, in the order of time, and the piece that ended before it started, if any.
///
/// A retry is a run after the end of the one before. Within a run a time that was told beats one that was inferred, and
/// among those that were told the last one told is right, as for every field. Parts follow one another.
pub fn runs(mut pieces: Vec<Piece>) -> (Vec<Run>, Option<usize>) {
    pieces.sort_by_key(|piece| (piece.at, piece.told));
    let mut done: Vec<Current> = Vec::new();
    let mut current: Option<Current> = None;
    let mut rest = pieces.as_slice();
    while let Some(first) = rest.first() {
        let together = rest.partition_point(|piece| piece.at == first.at);
        let (group, later) = rest.split_at(together);
        rest = later;
        // Of what ends and what begins at one time, an end goes first where there is a run that it can end.
        let endable =
            current.as_ref().is_some_and(|run| run.end.and_then(|end| end.at).is_none_or(|end| end >= first.at));
        for stops in [endable, !endable] {
            for piece in group.iter().filter(|piece| matches!(piece.what, What::Stop { .. }) == stops) {
                take(piece, &mut current, &mut done);
            }
        }
    }
    done.extend(current);
    let backwards = ended_before_start(&mut done);
    (done.into_iter().map(Current::run).collect(), backwards)
}

#[derive(Clone, Copy, Debug)]
struct Current {
    part: &'static str,
    /// `None` where only an end is told.
    start: Option<Mark>,
    end: Option<Mark>,
}

#[derive(Clone, Copy, Debug)]
struct Mark {
    sureness: Sureness,
    told: usize,
    /// `None` for an end after the moment that is asked about.
    at: Option<DateTime<Utc>>,
}

fn take(piece: &Piece, current: &mut Option<Current>, done: &mut Vec<Current>) {
    let mark = |sureness| Mark { sureness, told: piece.told, at: Some(piece.at) };
    match piece.what {
        What::Stop { sureness } => match current {
            Some(run) => run.offer_end(mark(sureness)),
            None => *current = Some(Current { part: "", start: None, end: Some(mark(sureness)) }),
        },
        What::Start { sureness, part, end } => {
            let end = match end {
                End::Untold => None,
                End::At(at) => Some(Mark { at: Some(at), ..mark(Sureness::Told) }),
                End::Later => Some(Mark { at: None, ..mark(Sureness::Told) }),
            };
            match current {
                Some(run) if !run.over(piece.at) && run.part == part => {
                    run.offer_start(mark(sureness));
                    if let Some(end) = end {
                        run.offer_end(end);
                    }
                }
                _ => {
                    if let Some(mut run) = current.take() {
                        // The next part has begun, so this one is over.
                        run.end = run.end.or(Some(mark(Sureness::After)));
                        done.push(run);
                    }
                    *current = Some(Current { part, start: Some(mark(sureness)), end });
                }
            }
        }
    }
}

impl Current {
    fn over(&self, at: DateTime<Utc>) -> bool {
        self.end.and_then(|end| end.at).is_some_and(|end| end <= at)
    }

    fn offer_start(&mut self, mark: Mark) {
        let better = match self.start {
            None => true,
            // Of inferred starts the first is right: a status may be told again and again.
            Some(old) if old.sureness == mark.sureness && mark.sureness != Sureness::Told => mark.at < old.at,
            Some(old) => (mark.sureness, mark.told) > (old.sureness, old.told),
        };
        if better {
            self.start = Some(mark);
        }
    }

    fn offer_end(&mut self, mark: Mark) {
        if self.end.is_none_or(|old| (mark.sureness, mark.told) >= (old.sureness, old.told)) {
            self.end = Some(mark);
        }
    }

    fn run(self) -> Run {
        let end = self.end.and_then(|end| end.at);
        let start = self.start.and_then(|start| start.at).or(end).unwrap_or_default();
        let later = self.end.is_some_and(|end| end.at.is_none());
        Run { start, end: end.map(|end| end.max(start)), later }
    }
}

/// A lone end right before a run that never ends, and told after it: the two are one, told the wrong way round.
fn ended_before_start(runs: &mut Vec<Current>) -> Option<usize> {
    let [.., Current { start: None, end: Some(end), .. }, last] = runs.as_mut_slice() else { return None };
    let start = last.start.filter(|_| last.end.is_none())?;
    if end.told < start.told || end.sureness == Sureness::After {
        return None;
    }
    let told = end.told;
    last.end = Some(start);
    runs.remove(runs.len() - 2);
    Some(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(second, 0).unwrap()
    }

    fn began(second: i64) -> (i64, What) {
        (second, What::Start { sureness: Sureness::Implied, part: "", end: End::Untold })
    }

    fn ran(from: i64, until: i64) -> (i64, What) {
        (from, What::Start { sureness: Sureness::Told, part: "", end: End::At(at(until)) })
    }

    fn stopped(second: i64) -> (i64, What) {
        (second, What::Stop { sureness: Sureness::Told })
    }

    /// The runs of pieces told in this order.
    fn told(pieces: &[(i64, What)]) -> Vec<(i64, Option<i64>)> {
        let pieces =
            pieces.iter().enumerate().map(|(told, (second, what))| Piece { at: at(*second), told, what: *what });
        let (runs, _) = runs(pieces.collect());
        runs.iter().map(|run| (run.start.timestamp(), run.end.map(|end| end.timestamp()))).collect()
    }

    #[test]
    fn a_status_opens_a_run_and_a_final_one_closes_it() {
        assert_eq!(told(&[began(10), began(12), stopped(20)]), [(10, Some(20))]);
        assert_eq!(told(&[began(10), began(12)]), [(10, None)]);
        assert_eq!(told(&[stopped(20)]), [(20, Some(20))]);
    }

    #[test]
    fn a_retry_is_a_run_of_its_own() {
        assert_eq!(told(&[began(10), stopped(20), began(30), stopped(40)]), [(10, Some(20)), (30, Some(40))]);
        assert_eq!(told(&[ran(10, 20), ran(20, 30)]), [(10, Some(20)), (20, Some(30))]);
    }

    #[test]
    fn a_told_start_beats_an_inferred_one_and_a_correction_beats_what_it_corrects() {
        assert_eq!(told(&[began(9), ran(10, 20), stopped(20)]), [(10, Some(20))]);
        assert_eq!(told(&[ran(10, 25), ran(10, 20)]), [(10, Some(20))]);
        assert_eq!(told(&[ran(10, 20), stopped(22)]), [(10, Some(22))]);
    }

    #[test]
    fn an_end_before_its_start_ends_it_at_once() {
        let pieces = [began(30), stopped(20)];
        assert_eq!(told(&pieces), [(30, Some(30))]);
        assert_eq!(told(&[stopped(20), began(30)]), [(20, Some(20)), (30, None)]);
    }

    #[test]
    fn a_run_of_no_length_does_not_leave_another_open() {
        assert_eq!(told(&[began(10), ran(15, 15), stopped(15)]), [(10, Some(15)), (15, Some(15))]);
        assert_eq!(told(&[ran(10, 20), stopped(20), began(20)]), [(10, Some(20)), (20, None)]);
    }
}

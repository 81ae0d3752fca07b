//! Pictures as SVG that stands in the page: the phases as a bar, the timeline in lanes, outcomes over time. Places along the
//! axis are percentages, so that text keeps its size whatever the width; colours come from the page's style sheet.

use maud::{Markup, PreEscaped, html};

use super::{
    model::{Interval, Moment, Phase, Report},
    words,
};
use crate::audit::{Kind, PhaseName};

/// From these shares of the bar on a part has room for its name, and for its share only.
const NAME_FROM: f64 = 16.0;
const SHARE_FROM: f64 = 7.0;
/// From this share of the axis on a wait has room for its name.
const WAIT_NAME_FROM: f64 = 26.0;
/// What came after the end gets this much of the axis, where it would take more than that to scale.
const AFTER: f64 = 18.0;
/// About so many marks on an axis.
const TICKS: f64 = 6.0;
/// Narrower than this, in per cent of the axis, a span could not be seen.
const SPAN_MIN: f64 = 0.5;

const BAR_HEIGHT: u32 = 44;
const LANE_HEIGHT: u32 = 46;

/// The class of a phase's colour.
pub fn class(name: PhaseName) -> &'static str {
    match name {
        PhaseName::Intake => "p-intake",
        PhaseName::SignalProcessing => "p-signal",
        PhaseName::AiAnalysis => "p-analysis",
        PhaseName::ApprovalWait => "p-approval",
        PhaseName::WorkflowExecution => "p-execution",
        PhaseName::Verification => "p-verification",
        PhaseName::Notification => "p-notification",
    }
}

/// Hatching for what is waiting and not work; once in a page.
pub fn patterns() -> Markup {
    html! {
        svg.defs width="0" height="0" aria-hidden="true" focusable="false" {
            defs {
                pattern #hatch width="7" height="7" patternUnits="userSpaceOnUse" patternTransform="rotate(45)" {
                    rect.hatch width="2.5" height="7" {}
                }
            }
        }
    }
}

/// Where a time stands along an axis, in per cent.
struct Axis {
    start_ms: f64,
    /// Where the part that is to scale ends, in time and in per cent.
    end_ms: f64,
    end: f64,
    /// Where what came after ends.
    after_ms: f64,
}

impl Axis {
    /// An axis from the first moment to the last. Where most of it came after the end, the end is where the scale breaks.
    fn of(report: &Report) -> Axis {
        let ends = report.timeline.iter().map(|moment| moment.offset_ms + moment.duration_ms.unwrap_or_default());
        let phases =
            report.phases.iter().flat_map(|phase| &phase.intervals).map(|span| span.offset_ms + span.duration_ms);
        let last = ends.chain(phases).fold(0.0, f64::max);
        let first = report.timeline.iter().map(|moment| moment.offset_ms).fold(0.0, f64::min);
        let end = report.figures.duration_ms.max(1.0);
        let over = report.figures.completed_at.is_some();
        let whole = (last.max(end) - first).max(1.0);
        if over && (last - end) / whole > AFTER / 100.0 {
            return Axis { start_ms: first, end_ms: end, end: 100.0 - AFTER, after_ms: last };
        }
        Axis { start_ms: first, end_ms: last.max(end), end: 100.0, after_ms: last.max(end) }
    }

    fn at(&self, ms: f64) -> f64 {
        if ms <= self.end_ms {
            return (ms - self.start_ms) / (self.end_ms - self.start_ms).max(1.0) * self.end;
        }
        let after = (ms - self.end_ms) / (self.after_ms - self.end_ms).max(1.0);
        self.end + after.min(1.0) * (100.0 - self.end)
    }

    fn broken(&self) -> bool {
        self.end < 100.0
    }

    /// Round times along the part that is to scale.
    fn ticks(&self) -> Vec<f64> {
        let step = step((self.end_ms - self.start_ms) / TICKS);
        let first = (self.start_ms / step).ceil();
        let count = ((self.end_ms - self.start_ms) / step).floor().min(2.0 * TICKS) as u32;
        let ticks = (0..=count).map(|number| (first + f64::from(number)) * step);
        // The last must not run into what stands at the end.
        let limit = if self.broken() { self.end - 9.0 } else { self.end + 0.01 };
        ticks.filter(|tick| *tick <= self.end_ms && self.at(*tick) <= limit).collect()
    }
}

/// The next round step that is not smaller, in milliseconds.
fn step(least_ms: f64) -> f64 {
    const STEPS: [f64; 22] = [
        100.0,
        200.0,
        500.0,
        1_000.0,
        2_000.0,
        5_000.0,
        10_000.0,
        15_000.0,
        30_000.0,
        60_000.0,
        120_000.0,
        180_000.0,
        300_000.0,
        600_000.0,
        900_000.0,
        1_800_000.0,
        3_600_000.0,
        7_200_000.0,
        21_600_000.0,
        43_200_000.0,
        86_400_000.0,
        604_800_000.0,
    ];
    let days = (least_ms / 604_800_000.0).ceil() * 604_800_000.0;
    STEPS.into_iter().find(|step| *step >= least_ms).unwrap_or(days)
}

fn percent(place: f64) -> String {
    format!("{}%", words::trimmed(place, 3))
}

/// The phases within the remediation's own duration as parts of one bar.
pub fn phases(report: &Report) -> Markup {
    let whole = report.figures.duration_ms;
    let within: Vec<(&Phase, &Interval)> = report
        .phases
        .iter()
        .flat_map(|phase| phase.intervals.iter().map(move |span| (phase, span)))
        .filter(|(_, span)| span.offset_ms < whole && span.duration_ms > 0.0)
        .collect();
    if whole <= 0.0 || within.is_empty() {
        return PreEscaped(String::new());
    }
    let told: Vec<String> = report
        .phases
        .iter()
        .filter_map(|phase| Some(format!("{} {}", words::phase(phase.name), words::percent(phase.share?))))
        .collect();
    let place = |ms: f64| (ms / whole * 100.0).clamp(0.0, 100.0);
    html! {
        svg.picture role="img" width="100%" height=(BAR_HEIGHT + 24) aria-labelledby="phases-title phases-desc" {
            title #phases-title { "The phases as shares of " (words::duration(whole)) }
            desc #phases-desc { (words::listed(&told)) ". Waiting is hatched." }
            rect.gap x="0" y="0" width="100%" height=(BAR_HEIGHT) rx="3" {}
            @for (phase, span) in &within {
                @let (left, right) = (place(span.offset_ms), place(span.offset_ms + span.duration_ms));
                @let width = (right - left).max(SPAN_MIN / 2.0);
                rect.part.(class(phase.name)) x=(percent(left)) y="0" width=(percent(width)) height=(BAR_HEIGHT) {
                    title { (words::phase(phase.name)) ": " (words::duration(span.duration_ms)) }
                }
                @if span.waiting {
                    rect x=(percent(left)) y="0" width=(percent(width)) height=(BAR_HEIGHT) fill="url(#hatch)" {}
                }
            }
            @for (phase, span) in &within {
                @let (left, right) = (place(span.offset_ms), place(span.offset_ms + span.duration_ms));
                @let middle = percent((left + right) / 2.0);
                @let share = words::percent((right - left) / 100.0);
                @if right - left >= NAME_FROM {
                    text.on-part.wide x=(middle) y="19" text-anchor="middle" { (words::phase(phase.name)) }
                    text.on-part.wide.figure x=(middle) y="34" text-anchor="middle" { (share) }
                }
                @if right - left >= SHARE_FROM {
                    text.on-part.figure.(if right - left >= NAME_FROM { "narrow" } else { "wide" })
                        x=(middle) y="27" text-anchor="middle" { (share) }
                }
            }
            text.tick x="0" y=(BAR_HEIGHT + 17) { "+0:00" }
            text.tick x="100%" y=(BAR_HEIGHT + 17) text-anchor="end" { (words::offset(whole)) }
        }
    }
}

/// The timeline in lanes by service: spans as bars, moments as dots, decision points as numbered diamonds.
pub fn timeline(report: &Report) -> Markup {
    let lanes: Vec<Kind> =
        Kind::ALL.into_iter().filter(|kind| report.timeline.iter().any(|moment| moment.service == *kind)).collect();
    if lanes.is_empty() {
        return PreEscaped(String::new());
    }
    let axis = Axis::of(report);
    let bottom = lanes.len() as u32 * LANE_HEIGHT + 8;
    let decisions = report.timeline.iter().filter(|moment| moment.decision.is_some()).count();
    html! {
        svg.picture role="img" width="100%" height=(bottom + 22) aria-labelledby="timeline-title timeline-desc" {
            title #timeline-title { "The timeline in lanes by service" }
            desc #timeline-desc {
                (words::count(report.timeline.len(), "fact")) " in " (words::count(lanes.len(), "lane")) ", "
                (words::count(decisions, "decision point")) ". The table below says the same in words."
            }
            (waits(report, &axis, bottom))
            (scale(&axis, report, bottom))
            @for (lane, kind) in (0..).zip(&lanes) {
                (self::lane(report, &axis, *kind, lane * LANE_HEIGHT))
            }
        }
    }
}

/// What was waiting, behind the lanes.
fn waits(report: &Report, axis: &Axis, bottom: u32) -> Markup {
    let waits = report.phases.iter().flat_map(|phase| phase.intervals.iter().map(move |span| (phase, span)));
    html! {
        @for (phase, span) in waits.filter(|(_, span)| span.waiting) {
            @let left = axis.at(span.offset_ms);
            @let width = (axis.at(span.offset_ms + span.duration_ms) - left).max(SPAN_MIN);
            rect.wait x=(percent(left)) y="0" width=(percent(width)) height=(bottom) {
                title {
                    @if phase.name == PhaseName::ApprovalWait { "Waiting for approval: " } @else { "Planned stabilisation: " }
                    (words::duration(span.duration_ms))
                }
            }
            rect.wait-hatch x=(percent(left)) y="0" width=(percent(width)) height=(bottom) fill="url(#hatch)" {}
            @if width >= WAIT_NAME_FROM {
                text.wait-name.wide x=(percent(left + width / 2.0)) y=(bottom - 4) text-anchor="middle" {
                    @if phase.name == PhaseName::ApprovalWait { "waiting for approval, " } @else { "settling, " }
                    (words::duration(span.duration_ms))
                }
            }
        }
    }
}

fn scale(axis: &Axis, report: &Report, bottom: u32) -> Markup {
    let ticks = axis.ticks();
    html! {
        @for (number, tick) in ticks.iter().enumerate() {
            @let place = percent(axis.at(*tick));
            @let anchor = match axis.at(*tick) { ..3.0 => "start", 97.0.. => "end", _ => "middle" };
            line.grid x1=(place) x2=(place) y1="0" y2=(bottom) {}
            text.tick.(if number % 2 == 1 { "wide" } else { "every" }) x=(place) y=(bottom + 16) text-anchor=(anchor) {
                (words::offset(*tick))
            }
        }
        @if axis.broken() {
            line.end x1=(percent(axis.end)) x2=(percent(axis.end)) y1="0" y2=(bottom) {}
            text.tick.strong.wide x=(percent(axis.end)) y=(bottom + 16) text-anchor="end" { "end" }
            text.tick x="100%" y=(bottom + 16) text-anchor="end" {
                (words::offset(axis.after_ms)) tspan.wide { ", not to scale" }
            }
        } @else if report.figures.completed_at.is_some() {
            @let end = percent(axis.at(report.figures.duration_ms));
            line.end x1=(end) x2=(end) y1="0" y2=(bottom) {}
        }
    }
}

fn lane(report: &Report, axis: &Axis, kind: Kind, top: u32) -> Markup {
    let mine: Vec<&Moment> = report.timeline.iter().filter(|moment| moment.service == kind).collect();
    let middle = top + 31;
    html! {
        text.lane x="0" y=(top + 15) { (words::service(kind)) }
        line.rail x1="0" x2="100%" y1=(middle) y2=(middle) {}
        @for moment in mine.iter().filter(|moment| moment.duration_ms.is_some_and(|ms| ms > 0.0)) {
            @let left = axis.at(moment.offset_ms);
            @let right = axis.at(moment.offset_ms + moment.duration_ms.unwrap_or_default());
            rect.span.(moment.phase.map_or("p-none", class)) x=(percent(left)) y=(middle - 6)
                width=(percent((right - left).max(SPAN_MIN))) height="12" rx="2" { (told(moment)) }
        }
        @for moment in mine.iter().filter(|moment| moment.duration_ms.is_none_or(|ms| ms == 0.0) && moment.decision.is_none()) {
            circle.dot.(moment.phase.map_or("p-none", class)) cx=(percent(axis.at(moment.offset_ms))) cy=(middle) r="4.5" {
                (told(moment))
            }
        }
        @for (moment, number) in mine.iter().filter_map(|moment| Some((moment, moment.decision?))) {
            svg.at x=(percent(axis.at(moment.offset_ms))) y=(middle) width="1" height="1" overflow="visible" {
                path.decision d="M0 -10L10 0L0 10L-10 0Z" { (told(moment)) }
                text.number x="0" y="3.6" text-anchor="middle" { (number) }
            }
        }
    }
}

/// What a pointer that rests on a mark shows.
fn told(moment: &Moment) -> Markup {
    html! { title { (words::offset(moment.offset_ms)) " " (moment.title) } }
}

/// Outcomes for each span of time, as stacked bars: label and, for each of the kinds, how many.
pub fn stacked(title: &str, kinds: &[(&'static str, &'static str)], bars: &[(String, Vec<usize>)]) -> Markup {
    const HEIGHT: f64 = 150.0;
    let most = bars.iter().map(|(_, counts)| counts.iter().sum::<usize>()).max().unwrap_or_default();
    if most == 0 {
        return PreEscaped(String::new());
    }
    let width = 100.0 / bars.len() as f64;
    let every = bars.len().div_ceil(12);
    html! {
        svg.picture role="img" width="100%" height=(HEIGHT + 40.0) aria-labelledby="bars-title bars-desc" {
            title #bars-title { (title) }
            desc #bars-desc { "At most " (most) " in one bar. The table below has the figures." }
            line.rail x1="0" x2="100%" y1=(HEIGHT + 18.0) y2=(HEIGHT + 18.0) {}
            @for (place, (label, counts)) in bars.iter().enumerate() {
                @let left = place as f64 * width;
                @let whole = counts.iter().sum::<usize>();
                @let heights: Vec<f64> = counts.iter().map(|count| *count as f64 / most as f64 * HEIGHT).collect();
                @for (number, (count, (class, name))) in counts.iter().zip(kinds).enumerate() {
                    @if *count > 0 {
                        @let below = heights[..=number].iter().sum::<f64>();
                        rect.part.(class) x=(percent(left + width * 0.14)) width=(percent(width * 0.72))
                            y=(words::trimmed(HEIGHT + 18.0 - below, 2)) height=(words::trimmed(heights[number], 2)) {
                            title { (label) ": " (count) " " (name) }
                        }
                    }
                }
                @if whole > 0 {
                    text.tick.figure x=(percent(left + width / 2.0)) text-anchor="middle"
                        y=(words::trimmed(HEIGHT + 12.0 - heights.iter().sum::<f64>(), 2)) { (whole) }
                }
                @if place % every == 0 {
                    text.tick.(if (place / every) % 2 == 1 { "wide" } else { "every" })
                        x=(percent(left + width / 2.0)) y=(HEIGHT + 35.0) text-anchor="middle" { (label) }
                }
            }
        }
    }
}

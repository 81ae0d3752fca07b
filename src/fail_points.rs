//! Points at which tests make this process die or stray: `FAILPOINTS='after_commit=1%return'` arms them. Only builds with
//! debug assertions have them.

/// Arms the points that the environment names, for as long as the process runs.
pub fn arm() {
    #[cfg(debug_assertions)]
    std::mem::forget(fail::FailScenario::setup());
}

/// Ends the process as a power cut would, where the environment has armed the point of this name with `return`.
pub fn dies_at(name: &str) {
    #[cfg(debug_assertions)]
    if fail::eval(name, |_| ()).is_some() {
        tracing::warn!(point = name, "dies at `{name}`, as the test wants");
        std::process::abort();
    }
    #[cfg(not(debug_assertions))]
    let _ = name;
}

/// The number that the environment gives the point of this name with `return(…)`.
pub fn number(name: &str) -> Option<i64> {
    #[cfg(debug_assertions)]
    return fail::eval(name, |given| given.and_then(|text| text.parse().ok())).flatten();
    #[cfg(not(debug_assertions))]
    {
        let _ = name;
        None
    }
}

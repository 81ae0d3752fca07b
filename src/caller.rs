//! Who is calling and what they may do: the file of callers, bearer tokens, and its re-reading on SIGHUP.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use sha2::{Digest as _, Sha256};
use subtle::{ConditionallySelectable as _, ConstantTimeEq as _};
use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, info};

use crate::{
    audit::{Kind, limits::NAME_MAX},
    worker::Shutdown,
};

/// Who sent a request, and what they may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The authenticated name; `None` while no authentication is in force.
    pub name: Option<String>,
    pub kinds: Kinds,
    pub read: bool,
    pub admin: bool,
}

/// The kinds that a caller may record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kinds {
    All,
    Only(BTreeSet<Kind>),
}

impl Caller {
    /// The caller while no authentication is in force: it may do everything and has no name.
    pub fn anonymous() -> Caller {
        Caller { name: None, kinds: Kinds::All, read: true, admin: true }
    }

    /// Somebody who may do nothing.
    pub fn nobody() -> Caller {
        Caller { name: None, kinds: Kinds::Only(BTreeSet::new()), read: false, admin: false }
    }

    pub fn may_record(&self, kind: Kind) -> bool {
        match &self.kinds {
            Kinds::All => true,
            Kinds::Only(kinds) => kinds.contains(&kind),
        }
    }

    pub fn may_read(&self) -> bool {
        self.read
    }

    pub fn may_admin(&self) -> bool {
        self.admin
    }
}

/// A request came without a token, or with one that no caller has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unauthenticated {
    #[error("this server wants to know who calls: send `Authorization: Bearer <token>`")]
    Missing,
    #[error("no caller has this token")]
    Unknown,
}

#[derive(Debug, thiserror::Error)]
pub enum CallersError {
    #[error("cannot read the file of callers `{}`", .path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("the file of callers `{}` has mistakes: {}", .path.display(), .mistakes.join("; "))]
    Mistakes { path: PathBuf, mistakes: Vec<String> },
    #[error("the file of callers `{}` names nobody, and then nobody could call", .path.display())]
    Empty { path: PathBuf },
}

/// Everyone who may call. A clone is the same list.
#[derive(Clone)]
pub struct Callers(Option<Arc<List>>);

struct List {
    path: PathBuf,
    known: RwLock<Arc<Vec<Known>>>,
}

struct Known {
    token_sha256: [u8; 32],
    caller: Caller,
}

impl Callers {
    /// No authentication: whoever calls may do everything.
    pub fn anyone() -> Callers {
        Callers(None)
    }

    /// The callers of the file at `path`.
    pub fn read(path: &Path) -> Result<Callers, CallersError> {
        let known = read_file(path)?;
        Ok(Callers(Some(Arc::new(List { path: path.to_path_buf(), known: RwLock::new(Arc::new(known)) }))))
    }

    /// Whether no authentication is in force.
    pub fn anyone_may(&self) -> bool {
        self.0.is_none()
    }

    /// Who sent a request with this `Authorization` header.
    pub fn authenticate(&self, authorization: Option<&[u8]>) -> Result<Caller, Unauthenticated> {
        let Some(list) = &self.0 else { return Ok(Caller::anonymous()) };
        let token = authorization.and_then(bearer).ok_or(Unauthenticated::Missing)?;
        let known = list.known.read().unwrap_or_else(PoisonError::into_inner).clone();
        find(&known, token).cloned().ok_or(Unauthenticated::Unknown)
    }

    /// Reads the file again; what cannot be read leaves the callers in force as they are.
    pub fn reread(&self) -> Result<usize, CallersError> {
        let Some(list) = &self.0 else { return Ok(0) };
        let known = read_file(&list.path)?;
        let count = known.len();
        *list.known.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(known);
        Ok(count)
    }

    /// Reads the file again on each SIGHUP, until `shutdown`.
    pub async fn reread_on_hangup(self, mut shutdown: Shutdown) -> io::Result<()> {
        let mut hangup = signal(SignalKind::hangup())?;
        loop {
            tokio::select! {
                _ = hangup.recv() => {}
                () = shutdown.wait() => return Ok(()),
            }
            if self.0.is_none() {
                info!("heard SIGHUP; there is no file of callers to read again");
                continue;
            }
            match self.reread() {
                Ok(count) => info!(callers.count = count, "read the file of callers again: {count} callers"),
                Err(cause) => {
                    let cause = anyhow::Error::from(cause);
                    error!(error = %format!("{cause:#}"), "kept the callers in force: {cause:#}");
                }
            }
        }
    }
}

/// The token of an `Authorization` header; the scheme may be in any case.
fn bearer(header: &[u8]) -> Option<&[u8]> {
    let header = header.trim_ascii();
    let (scheme, token) = header.split_at(header.iter().position(|byte| *byte == b' ')?);
    let token = token.trim_ascii();
    (scheme.eq_ignore_ascii_case(b"bearer") && !token.is_empty()).then_some(token)
}

/// Compares with every line, so that time tells nothing about which line or how much of it fits.
fn find<'a>(known: &'a [Known], token: &[u8]) -> Option<&'a Caller> {
    let sha256: [u8; 32] = Sha256::digest(token).into();
    let mut found = u32::MAX;
    for (index, candidate) in (0_u32..).zip(known) {
        found.conditional_assign(&index, candidate.token_sha256.ct_eq(&sha256));
    }
    known.get(found as usize).map(|known| &known.caller)
}

fn read_file(path: &Path) -> Result<Vec<Known>, CallersError> {
    let text = fs::read_to_string(path).map_err(|source| CallersError::Read { path: path.to_path_buf(), source })?;
    match parse(&text) {
        Ok(known) if known.is_empty() => Err(CallersError::Empty { path: path.to_path_buf() }),
        Ok(known) => Ok(known),
        Err(mistakes) => Err(CallersError::Mistakes { path: path.to_path_buf(), mistakes }),
    }
}

/// Reads every line, or lists what is wrong with each. Mistakes never show a line's second word: it may be a token that
/// somebody wrote where its SHA-256 belongs.
fn parse(text: &str) -> Result<Vec<Known>, Vec<String>> {
    let mut known: Vec<Known> = Vec::new();
    let mut mistakes = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.split_once('#').map_or(line, |(line, _comment)| line);
        let words: Vec<&str> = line.split_whitespace().collect();
        if words.is_empty() {
            continue;
        }
        match parse_line(&words) {
            Ok(new) if known.iter().any(|other| other.caller.name == new.caller.name) => {
                mistakes.push(format!("line {number}: `{}` is named twice", words[0]));
            }
            Ok(new) if known.iter().any(|other| other.token_sha256 == new.token_sha256) => {
                mistakes.push(format!("line {number}: `{}` has the token of another line", words[0]));
            }
            Ok(new) => known.push(new),
            Err(why) => mistakes.push(format!("line {number}: {why}")),
        }
    }
    if mistakes.is_empty() { Ok(known) } else { Err(mistakes) }
}

fn parse_line(words: &[&str]) -> Result<Known, String> {
    let [name, sha256, kinds, permissions @ ..] = words else {
        return Err("write a name, the SHA-256 of a token, and kinds (`*`, `-` or a list with commas)".to_string());
    };
    if name.chars().count() > NAME_MAX {
        return Err(format!("a name has at most {NAME_MAX} characters"));
    }
    let token_sha256 = parse_sha256(sha256).ok_or_else(|| {
        "the second word has to be the SHA-256 of the token, 64 hexadecimal digits, as `printf %s TOKEN | sha256sum` \
         prints it; never the token itself"
            .to_string()
    })?;
    let mut caller = Caller { name: Some(name.to_string()), kinds: parse_kinds(kinds)?, read: false, admin: false };
    for permission in permissions {
        match *permission {
            "read" => caller.read = true,
            "admin" => caller.admin = true,
            other => return Err(format!("`{other}` is no permission; allowed are read, admin")),
        }
    }
    Ok(Known { token_sha256, caller })
}

fn parse_sha256(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let high = char::from(pair[0]).to_digit(16)?;
        let low = char::from(pair[1]).to_digit(16)?;
        *byte = u8::try_from(high * 16 + low).ok()?;
    }
    Some(bytes)
}

fn parse_kinds(text: &str) -> Result<Kinds, String> {
    match text {
        "*" => Ok(Kinds::All),
        "-" => Ok(Kinds::Only(BTreeSet::new())),
        list => {
            let kinds = list.split(',').map(|word| {
                Kind::parse(word).ok_or_else(|| {
                    let words: Vec<_> = Kind::ALL.iter().map(|kind| kind.word()).collect();
                    format!("`{word}` is no kind; allowed are {}, or `*` for all and `-` for none", words.join(", "))
                })
            });
            kinds.collect::<Result<BTreeSet<_>, _>>().map(Kinds::Only)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::canonical;

    fn sha256(token: &str) -> String {
        canonical::hex(&canonical::digest(token))
    }

    /// A file of callers that goes with the test.
    struct File(PathBuf);

    impl Drop for File {
        fn drop(&mut self) {
            let _ = fs::remove_file(&self.0);
        }
    }

    fn file(name: &str, text: &str) -> File {
        let path = std::env::temp_dir().join(format!("binnacle-callers-{}-{name}", std::process::id()));
        fs::write(&path, text).unwrap();
        File(path)
    }

    #[test]
    fn a_token_finds_its_caller_and_what_it_may_do() {
        let text = format!(
            "# controllers\nnotifier  {}  NOTIFICATION,ai-analysis\n\nauditor {} - admin read # people\nall {} *\n",
            sha256("one"),
            sha256("two").to_uppercase(),
            sha256("three")
        );
        let callers = Callers::read(&file("find", &text).0).unwrap();

        let notifier = callers.authenticate(Some(b"Bearer one")).unwrap();
        assert_eq!(notifier.name.as_deref(), Some("notifier"));
        assert!(notifier.may_record(Kind::Notification) && notifier.may_record(Kind::AiAnalysis));
        assert!(!notifier.may_record(Kind::Other) && !notifier.may_read() && !notifier.may_admin());

        let auditor = callers.authenticate(Some(b"bearer   two ")).unwrap();
        assert!(auditor.may_read() && auditor.may_admin() && !auditor.may_record(Kind::Notification));
        assert!(callers.authenticate(Some(b"Bearer three")).unwrap().may_record(Kind::Other));
    }

    #[test]
    fn without_a_token_or_with_a_wrong_one_nobody_calls() {
        let callers = Callers::read(&file("wrong", &format!("a {} *", sha256("one"))).0).unwrap();
        for header in [None, Some(&b""[..]), Some(b"Bearer"), Some(b"Bearer "), Some(b"Basic b25l")] {
            assert_eq!(callers.authenticate(header), Err(Unauthenticated::Missing));
        }
        for header in [&b"Bearer On"[..], b"Bearer one two", b"Bearer \xff"] {
            assert_eq!(callers.authenticate(Some(header)), Err(Unauthenticated::Unknown));
        }
    }

    #[test]
    fn while_no_authentication_is_in_force_everyone_may_do_everything_and_has_no_name() {
        let caller = Callers::anyone().authenticate(None).unwrap();
        assert_eq!(caller, Caller::anonymous());
        assert!(Kind::ALL.iter().all(|kind| caller.may_record(*kind)) && caller.may_read() && caller.may_admin());
    }

    #[test]
    fn mistakes_are_told_all_at_once_with_their_lines_and_without_what_may_be_a_token() {
        let text = format!(
            "a {one} *\nb\nc my-secret-token *\nd {two} NOTIFICATION,PIGEON\ne {three} - write\na {three} -\nf {one} -",
            one = sha256("one"),
            two = sha256("two"),
            three = sha256("three")
        );
        let Err(mistakes) = parse(&text) else { panic!("should be refused") };
        assert!(!mistakes.join("\n").contains("my-secret-token"));
        insta::assert_snapshot!(mistakes.join("\n"), @r"
        line 2: write a name, the SHA-256 of a token, and kinds (`*`, `-` or a list with commas)
        line 3: the second word has to be the SHA-256 of the token, 64 hexadecimal digits, as `printf %s TOKEN | sha256sum` prints it; never the token itself
        line 4: `PIGEON` is no kind; allowed are ORCHESTRATION, SIGNAL_PROCESSING, AI_ANALYSIS, WORKFLOW_EXECUTION, NOTIFICATION, EFFECTIVENESS, OTHER, or `*` for all and `-` for none
        line 5: `write` is no permission; allowed are read, admin
        line 6: `a` is named twice
        line 7: `f` has the token of another line
        ");
    }

    #[test]
    fn a_new_file_comes_into_force_and_a_bad_one_does_not() {
        let file = file("reread", &format!("a {} *", sha256("one")));
        let callers = Callers::read(&file.0).unwrap();
        let handed_out = callers.clone();

        fs::write(&file.0, format!("a {} *\nb {} *", sha256("new"), sha256("two"))).unwrap();
        assert_eq!(callers.reread().unwrap(), 2);
        assert!(handed_out.authenticate(Some(b"Bearer new")).is_ok());
        assert!(handed_out.authenticate(Some(b"Bearer one")).is_err());

        for bad in ["a b c", "# nobody"] {
            fs::write(&file.0, bad).unwrap();
            assert!(callers.reread().is_err());
            assert!(handed_out.authenticate(Some(b"Bearer new")).is_ok());
        }
    }
}

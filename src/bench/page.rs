//! The page of figures: each group has a section of its own there, so that one is measured anew without the others.

use std::{collections::BTreeMap, fmt};

use clap::ValueEnum as _;

use super::Group;

/// Between these lines stand the sections, and nothing else.
const BEGIN: &str = "<!-- figures: binnacle bench --write -->\n";
const END: &str = "<!-- end of figures -->\n";
/// What a section begins with, before the name of its group.
const HEADING: &str = "### ";

#[derive(Clone, Debug)]
pub struct Page {
    before: String,
    /// Each with its heading, in the order of the groups.
    sections: BTreeMap<Group, String>,
    after: String,
}

/// Why a file is no such page, said of the file.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum Unfit {
    #[error("lacks the line `{}` or `{}`, between which the figures go", BEGIN.trim_end(), END.trim_end())]
    Unmarked,
    #[error("has `{0}` among its figures, which is the heading of no group")]
    Unknown(String),
    #[error("has two sections `{HEADING}{0}` among its figures")]
    Twice(Group),
    #[error("has `{0}` among its figures, above the first heading of a group")]
    Stray(String),
}

impl Page {
    /// Refuses what stands among the figures and belongs to no group, since a page that is written anew has no place for it.
    pub fn parse(text: &str) -> Result<Page, Unfit> {
        let (before, rest) = text.split_once(BEGIN).ok_or(Unfit::Unmarked)?;
        let (figures, after) = rest.split_once(END).ok_or(Unfit::Unmarked)?;
        let mut sections: Vec<(Group, String)> = Vec::new();
        for line in figures.split_inclusive('\n') {
            if let Some(name) = line.strip_prefix(HEADING) {
                let unknown = |_| Unfit::Unknown(line.trim_end().to_string());
                let group = Group::from_str(name.trim_end(), false).map_err(unknown)?;
                if sections.iter().any(|(other, _)| *other == group) {
                    return Err(Unfit::Twice(group));
                }
                sections.push((group, line.to_string()));
            } else if let Some((_, section)) = sections.last_mut() {
                section.push_str(line);
            } else if !line.trim().is_empty() {
                return Err(Unfit::Stray(line.trim_end().to_string()));
            }
        }
        let (before, after) = (before.to_string(), after.to_string());
        Ok(Page { before, sections: sections.into_iter().collect(), after })
    }

    /// Puts figures in the place of those that the group had, if it had any.
    pub fn put(&mut self, group: Group, figures: &str) {
        self.sections.insert(group, format!("{HEADING}{group}\n\n{figures}\n"));
    }
}

impl fmt::Display for Page {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Page { before, sections, after } = self;
        writeln!(out, "{before}{BEGIN}")?;
        for section in sections.values() {
            out.write_str(section)?;
        }
        write!(out, "{END}{after}")
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use proptest::{collection::vec, option, prelude::*};

    use super::*;

    fn page(figures: &str) -> String {
        format!("# Title\n{BEGIN}{figures}{END}\nmore\n")
    }

    fn unfit(text: &str) -> String {
        Page::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn the_first_figures_go_between_the_marks() {
        let mut first = Page::parse(&page("")).unwrap();

        first.put(Group::Nested, "of nested\n");
        first.put(Group::Singles, "of singles\n");

        assert_snapshot!(first, @r"
        # Title
        <!-- figures: binnacle bench --write -->

        ### singles

        of singles

        ### nested

        of nested

        <!-- end of figures -->

        more
        ");
    }

    #[test]
    fn what_has_no_place_on_a_page_of_figures_is_named() {
        let unmarked = "lacks the line `<!-- figures: binnacle bench --write -->` or `<!-- end of figures -->`, between which the \
            figures go";
        assert_eq!(unfit("no marks"), unmarked);
        assert_eq!(unfit(BEGIN), unmarked);
        assert_eq!(unfit(&format!("{END}{BEGIN}")), unmarked);
        assert_eq!(
            unfit(&page("\nMeasured\n")),
            "has `Measured` among its figures, above the first heading of a group"
        );
        assert_eq!(
            unfit(&page("### doubles\n")),
            "has `### doubles` among its figures, which is the heading of no group"
        );
        assert_eq!(unfit(&page("### nested\n### nested\n")), "has two sections `### nested` among its figures");
    }

    /// What may stand below a heading, for some of the groups.
    fn some_groups() -> impl Strategy<Value = Vec<(Group, String)>> {
        let bodies = vec(option::of("(([|a-z–][|a-z# <!>-]{0,12})?\n){0,4}"), Group::ALL.len());
        (Just(Group::ALL.to_vec()).prop_shuffle(), bodies).prop_map(|(groups, bodies)| {
            groups.into_iter().zip(bodies).filter_map(|(group, body)| Some((group, body?))).collect()
        })
    }

    proptest! {
        #[test]
        fn groups_that_are_not_measured_keep_their_sections_byte_for_byte(had in some_groups(), measured in some_groups()) {
            let sections = |all: &[(Group, String)]| -> BTreeMap<Group, String> {
                all.iter().map(|(group, body)| (*group, format!("### {group}\n{body}"))).collect()
            };
            let figures: String = had.iter().map(|(group, body)| format!("### {group}\n{body}")).collect();

            let mut written = Page::parse(&page(&figures)).unwrap();
            for (group, body) in &measured {
                written.put(*group, body);
            }

            let measured: Vec<_> = measured.into_iter().map(|(group, body)| (group, format!("\n{body}\n"))).collect();
            let (had, measured) = (sections(&had), sections(&measured));
            let expected: String =
                Group::ALL.iter().filter_map(|group| measured.get(group).or(had.get(group)).map(String::as_str)).collect();
            prop_assert_eq!(written.to_string(), page(&format!("\n{expected}")));
        }
    }
}

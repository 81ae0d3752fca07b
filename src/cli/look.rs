//! How tables, times and texts look on a terminal.

use std::io::{self, IsTerminal as _, Write as _};

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use crate::config::ColorMode;

pub use crate::audit::facts::say::{duration, line, offset, percent, time};

/// What the reader's terminal can show.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    pub color: bool,
    /// In characters; `None` is the terminal's own, or no bound where there is no terminal.
    pub width: Option<u16>,
}

impl Look {
    /// The look of standard output.
    pub fn of_output(mode: ColorMode) -> Look {
        Look { color: mode.on(io::stdout().is_terminal()), width: None }
    }

    /// A table without lines; its rows' styles show only where colours are on.
    pub fn table(self, header: &[&str]) -> Table {
        let mut table = Table::new();
        table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
        table.set_header(header);
        if let Some(width) = self.width {
            table.set_width(width);
        }
        if self.color {
            table.enforce_styling();
        } else {
            table.force_no_tty();
        }
        table
    }

    pub fn bold(self, text: &str) -> String {
        if self.color { format!("\u{1b}[1m{text}\u{1b}[0m") } else { text.to_string() }
    }
}

/// Numbers end at the same place.
pub fn right(table: &mut Table, columns: &[usize]) {
    for column in columns {
        if let Some(column) = table.column_mut(*column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}

/// Prints to standard output. A reader that went away, as `head` does, has had enough: that is no failure.
pub fn print(text: &str) -> io::Result<()> {
    let mut output = io::stdout().lock();
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

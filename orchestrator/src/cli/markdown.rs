//! Pages of the documentation as text for a terminal.

/// What is in front of a line of code.
const CODE: &str = "    ";

/// Of a two-column table, how wide the first may be.
const WIDEST_NAME: usize = 28;

/// The page as lines of at most `width` columns, where words, code and first cells of tables are not longer.
///
/// It knows what the pages in `docs/` use: headings, paragraphs, lists, tables, blocks of code, strong text, links.
pub(super) fn render(page: &str, width: usize) -> String {
    let mut text = Text { out: String::new(), width };
    let mut lines = page.lines().peekable();
    while let Some(line) = lines.next() {
        if line.starts_with("```") {
            lines.by_ref().take_while(|line| !line.starts_with("```")).for_each(|line| text.code(line));
        } else if let Some(heading) = line.strip_prefix('#') {
            text.line(&plain(heading.trim_start_matches('#').trim()));
        } else if line.starts_with('|') {
            let mut rows = vec![cells(line)];
            while let Some(row) = lines.next_if(|line| line.starts_with('|')) {
                rows.push(cells(row));
            }
            text.table(&rows);
        } else if line.is_empty() {
            text.line("");
        } else {
            let mut whole = line.to_owned();
            // A paragraph goes on until something else begins.
            let goes_on = |next: &&str| {
                !next.is_empty()
                    && !next.starts_with(['#', '|'])
                    && !is_item(next)
                    && !next.starts_with("```")
            };
            while let Some(next) = lines.next_if(goes_on) {
                whole = format!("{whole} {}", next.trim());
            }
            let indent = if is_item(&whole) { "  " } else { "" };
            text.wrapped(&plain(&whole), indent);
        }
    }
    text.out
}

fn is_item(line: &str) -> bool {
    line.starts_with("- ")
}

/// Without the marks of strong text, and of links only what they say.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('[') {
        plain.push_str(before);
        let link = after.split_once("](").and_then(|(said, tail)| Some((said, tail.split_once(')')?.1)));
        rest = match link {
            Some((said, tail)) if !said.contains(['[', ']', '`']) => {
                plain.push_str(said);
                tail
            }
            _ => {
                plain.push('[');
                after
            }
        };
    }
    plain.push_str(rest);
    strong(&plain)
}

/// Without the stars of strong text; within code they are globs.
fn strong(text: &str) -> String {
    let parts = text.split('`').enumerate();
    let parts =
        parts.map(|(index, part)| if index % 2 == 0 { part.replace('*', "") } else { part.to_owned() });
    parts.collect::<Vec<_>>().join("`")
}

fn cells(row: &str) -> Vec<String> {
    row.trim_matches('|').split('|').map(|cell| plain(cell.trim())).collect()
}

struct Text {
    out: String,
    width: usize,
}

impl Text {
    fn line(&mut self, line: &str) {
        self.out.push_str(line.trim_end());
        self.out.push('\n');
    }

    fn code(&mut self, line: &str) {
        self.line(&format!("{CODE}{line}"));
    }

    /// Words in lines, all but the first of which are indented.
    fn wrapped(&mut self, text: &str, indent: &str) {
        let mut line = String::new();
        for word in text.split_whitespace() {
            let is_full = line.chars().count() + 1 + word.chars().count() > self.width;
            if is_full && line.trim() != "" {
                self.line(&line);
                line = indent.to_owned();
            } else if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        self.line(&line);
    }

    /// Names with what they mean side by side; of more columns, each row as a list under its first cell.
    fn table(&mut self, rows: &[Vec<String>]) {
        let (head, rows) = match rows {
            [head, line, rows @ ..]
                if line.iter().all(|cell| cell.chars().all(|mark| "-:".contains(mark))) =>
            {
                (head, rows)
            }
            _ => return,
        };
        let widest = rows.iter().filter_map(|row| row.first()).map(|name| name.chars().count()).max();
        let widest = widest.unwrap_or(0);
        for row in rows {
            match &row[..] {
                [name, meaning] if widest <= WIDEST_NAME && widest + 30 <= self.width => {
                    let indent = " ".repeat(widest + 4);
                    let mut side = Self { out: String::new(), width: self.width - indent.len() };
                    side.wrapped(meaning, "");
                    for (index, line) in side.out.lines().enumerate() {
                        let name = if index == 0 { name.as_str() } else { "" };
                        self.line(&format!("  {name:widest$}  {line}"));
                    }
                }
                [name, cells @ ..] => {
                    self.wrapped(name, "  ");
                    for (index, cell) in cells.iter().enumerate() {
                        let title = head.get(index + 1).filter(|title| !title.is_empty() && cells.len() > 1);
                        let title = title.map_or(String::new(), |title| format!("{title}: "));
                        self.indented(&format!("{title}{cell}"), CODE);
                    }
                }
                [] => {}
            }
        }
    }

    fn indented(&mut self, text: &str, indent: &str) {
        let mut inner = Self { out: String::new(), width: self.width.saturating_sub(indent.len()) };
        inner.wrapped(text, "  ");
        inner.out.lines().for_each(|line| self.line(&format!("{indent}{line}")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_reads_well_on_a_narrow_terminal() {
        let page = "# Title\n\nSome **strong** *words* that\nfollow [a link](x.md) and `a/**`.\n\n- one item that is long\n- [x]\n\n\
                    ```sh\nleft   as it is, however long\n```\n\n| | a | b |\n|---|---|---|\n| name | 1 | 2 |\n";
        let expected = "Title\n\nSome strong words\nthat follow a link\nand `a/**`.\n\n- one item that is\n  long\n- [x]\n\n    \
                        left   as it is, however long\n\nname\n    a: 1\n    b: 2\n";
        assert_eq!(render(page, 20), expected);
    }

    #[test]
    fn a_table_of_names_and_meanings_stands_side_by_side_where_there_is_room() {
        let page = "| name | meaning |\n|---|---|\n| `A` | what it means, in some words more |\n";
        assert_eq!(render(page, 40), "  `A`  what it means, in some words more\n");
        assert_eq!(render(page, 30), "`A`\n    what it means, in some\n      words more\n");
    }
}

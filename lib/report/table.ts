/** A column's heading and the side its cells stand on; numbers belong on the right. */
export interface Column {
  readonly title: string
  readonly align?: 'left' | 'right'
}

export type Row = readonly string[]

/** An aligned text table: headings and a rule, where any column has a heading; one line a row; no trailing blanks. Control characters in cells become blanks. */
export function textTable(columns: readonly Column[], rows: readonly Row[]): string {
  const cells = rows.map((row) => columns.map((_, i) => printable(row[i] ?? '')))
  const widths = columns.map(({ title }, i) => cells.reduce((most, row) => Math.max(most, displayWidth(row[i] ?? '')), displayWidth(title)))
  const line = (row: readonly string[]): string =>
    row
      .map((cell, i) => pad(cell, widths[i] ?? 0, columns[i]?.align ?? 'left'))
      .join('  ')
      .trimEnd()
  const titles = columns.map((column) => column.title)
  const rule = widths.map((width) => '─'.repeat(width)).join('  ')
  const head = titles.some((title) => title !== '') ? [line(titles), rule] : []
  return [...head, ...cells.map(line)].join('\n')
}

/** The same as GitHub-flavoured Markdown. */
export function markdownTable(columns: readonly Column[], rows: readonly Row[]): string {
  const line = (row: readonly string[]): string => `| ${row.join(' | ')} |`
  const rule = columns.map((column) => (column.align === 'right' ? '---:' : '---'))
  const cells = rows.map((row) => columns.map((_, i) => escapeMarkdown(row[i] ?? '')))
  return [line(columns.map((column) => escapeMarkdown(column.title))), line(rule), ...cells.map(line)].join('\n')
}

function escapeMarkdown(text: string): string {
  return printable(text).replace(/[\\|`<*_]/g, (c) => (c === '<' ? '&lt;' : `\\${c}`))
}

/** Names come from untrusted files: an escape sequence in one must not reach the terminal. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, ' ')
}

/** The same of a text of several lines, which stay. */
export function printableLines(text: string): string {
  return text.split('\n').map(printable).join('\n')
}

/** Columns that `text` takes in a terminal: combining marks take none, East Asian wide characters two. */
export function displayWidth(text: string): number {
  let width = 0
  for (const char of text) {
    if (/\p{M}/u.test(char)) continue
    width += /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}]/u.test(char)
      ? 2
      : 1
  }
  return width
}

function pad(text: string, width: number, align: 'left' | 'right'): string {
  const blanks = ' '.repeat(Math.max(0, width - displayWidth(text)))
  return align === 'right' ? blanks + text : text + blanks
}

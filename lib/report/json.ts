/**
 * Indented JSON of plain data that no terminal takes for commands: what JSON leaves unescaped (C1 controls, marks that turn the direction of
 * writing) is escaped too. To a program it is the same.
 */
export function safeJson(value: unknown): string {
  return JSON.stringify(value, null, 2).replace(/(?!\n)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, escaped)
}

function escaped(text: string): string {
  return Array.from({ length: text.length }, (_, i) => `\\u${text.charCodeAt(i).toString(16).padStart(4, '0')}`).join('')
}

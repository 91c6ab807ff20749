/** What stands under a name that comes from a file or a caller: never what every object inherits, such as `toString`. */
export function own<T>(record: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(record, name) ? record[name] : undefined
}

/** Options without those that are explicitly undefined, which count as absent: these do not override a default when spread over it. */
export function definedOnly<T extends object>(options: T): T {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as T
}

import { unlessAborted } from '../abortable.js'

/** Asks for the next item while the caller works on this one; rejects with the signal's reason even while waiting for data. */
export async function* prefetched<T>(items: AsyncGenerator<T>, signal?: AbortSignal): AsyncGenerator<T> {
  const ask = (): Promise<IteratorResult<T>> => {
    const next = items.next()
    // Whoever awaits it later sees the error; nobody may, after an abort.
    next.catch(() => {})
    return next
  }
  try {
    let next = ask()
    for (;;) {
      const item = await unlessAborted(next, signal)
      if (item.done === true) return
      next = later(ask)
      yield item.value
    }
  } finally {
    // Not awaited: a source that hangs must not hold up an abort.
    items.return(undefined).catch(() => {})
  }
}

// After the caller has started its native job: making a batch may take long.
function later<T>(ask: () => Promise<T>): Promise<T> {
  const result = new Promise<void>((resolve) => {
    setImmediate(resolve)
  }).then(ask)
  result.catch(() => {})
  return result
}

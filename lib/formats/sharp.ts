import { PolyadicError } from '../errors.js'

/**
 * The package sharp, an optional peer. Throws POLYADIC_UNSUPPORTED about `subject` where it is not installed: what needs it, and what there is
 * instead.
 */
export async function loadSharp(what: string, instead: string, subject: string): Promise<typeof import('sharp').default> {
  try {
    return (await import('sharp')).default
  } catch (cause) {
    throw new PolyadicError('POLYADIC_UNSUPPORTED', `${what} needs the package sharp: npm install sharp, or ${instead}`, { subject, cause })
  }
}

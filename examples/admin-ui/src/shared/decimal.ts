/** Decimal numbers as PostgreSQL writes them, reckoned with exactly. */

const DECIMAL = /^(-?)(\d+)(?:\.(\d+))?$/

export const isDecimal = (text: string) => DECIMAL.test(text)

export const fraction = (text: string) => DECIMAL.exec(text)?.[3] ?? ''

/** The point moved to the left: 1250 by 2 is 12.50. */
export function movePoint(text: string, places: number): string {
  const [, sign = '', whole = '', after = ''] = DECIMAL.exec(text) ?? []
  const scale = after.length + places
  if (scale === 0) return text
  const digits = (whole + after).padStart(scale + 1, '0')
  return `${sign}${digits.slice(0, -scale)}.${digits.slice(-scale)}`
}

export function sum(texts: string[]): string {
  const scale = Math.max(0, ...texts.map((text) => fraction(text).length))
  const counted = texts.map((text) => {
    const padding = '0'.repeat(scale - fraction(text).length)
    return BigInt(text.replace('.', '') + padding)
  })
  return movePoint(String(counted.reduce((one, other) => one + other, 0n)), scale)
}

import type { WebhookHour } from '../api/types'
import { count, day } from '../shared/format'

export interface OfType {
  type: string
  byWebhook: number
  byFeedOnly: number
  lastDelivery: string | null
  /** Of the newest hour in which one was delivered. */
  delay: string | null
}

/** One row for each type of event; the hours are the newest first. */
export function byType(hours: WebhookHour[]): OfType[] {
  const types = [...new Set(hours.map((hour) => hour.type))].sort()
  return types.map((type) => {
    const own = hours.filter((hour) => hour.type === type)
    const newest = own.find((hour) => hour.last_delivery !== null)
    return {
      type,
      byWebhook: total(own, 'by_webhook'),
      byFeedOnly: total(own, 'by_feed_only'),
      lastDelivery: newest?.last_delivery ?? null,
      delay: newest?.mean_delay ?? null,
    }
  })
}

/** One bar for each day, the oldest first. */
export function byDay(hours: WebhookHour[]) {
  const days = [...new Set(hours.map((hour) => day(hour.hour)))].reverse()
  return days.map((name) => {
    const own = hours.filter((hour) => day(hour.hour) === name)
    return {
      day: name,
      'By webhook': total(own, 'by_webhook'),
      'Only in the feed': total(own, 'by_feed_only'),
    }
  })
}

/** Whether Stripe's webhooks come, in a sentence. */
export function verdict(hours: WebhookHour[]) {
  const arrived = total(hours, 'by_webhook')
  const missed = total(hours, 'by_feed_only')
  if (arrived === 0) {
    return {
      tone: 'orange',
      title: 'No webhook has come',
      text: `Stripe’s feed has ${count(missed, 'event')} that no webhook brought. The sweeps act on them all the same; look at the endpoint in Stripe’s dashboard.`,
    }
  }
  if (missed > 0) {
    return {
      tone: 'yellow',
      title: 'Some webhooks did not come',
      text: `${count(arrived, 'event')} came by webhook, ${missed} only by Stripe’s feed, which every sweep reads.`,
    }
  }
  return {
    tone: 'teal',
    title: 'Webhooks come',
    text: `All ${count(arrived, 'event')} came by webhook.`,
  }
}

const total = (hours: WebhookHour[], what: 'by_webhook' | 'by_feed_only') =>
  hours.reduce((sum, hour) => sum + hour[what], 0)

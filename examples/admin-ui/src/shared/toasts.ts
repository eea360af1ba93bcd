import { notifications } from '@mantine/notifications'
import type { Problem } from '../api/problem'

export function toastProblem(problem: Problem) {
  notifications.show({
    color: 'red',
    title: problem.title,
    message: [problem.message, problem.hint].filter(Boolean).join('. '),
    autoClose: 12_000,
  })
}

export function toastDone(title: string, message: string, color = 'teal') {
  notifications.show({ color, title, message, autoClose: 8_000 })
}

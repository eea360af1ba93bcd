import { useOpenIssues } from '../queries'
import { Loaded, Nothing } from '../shared/Feedback'
import { Page } from '../shared/Page'
import { useDecision } from './DecisionDialog'
import { IssueList } from './IssueList'

export function IssuesPage() {
  const issues = useOpenIssues()
  const decision = useDecision()
  return (
    <Page title="Open issues">
      <Loaded query={issues}>
        {(found) =>
          found.length === 0 ? (
            <Nothing title="Nothing waits for you">
              What cannot be repaired safely is never guessed: it would be here, with what can be
              done about it.
            </Nothing>
          ) : (
            <IssueList issues={found} onDecide={decision.begin} />
          )
        }
      </Loaded>
      {decision.dialog}
    </Page>
  )
}

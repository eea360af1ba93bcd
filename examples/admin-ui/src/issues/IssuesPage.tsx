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
            <Nothing title="There are no open issues">
              Problems that cannot be repaired safely are listed here, with the actions that can
              resolve them.
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

/** Demonstration only: who can sign in there, all with the password "demo". */
export const PEOPLE = [
  { email: 'admin@example.com', label: 'Admin: all rights', isAdmin: true },
  { email: 'colleague@example.com', label: 'Colleague: not an admin', isAdmin: false },
]

export const PASSWORD = 'demo'

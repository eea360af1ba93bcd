/** Demonstration only: who can sign in there, all with the password "demo". */
export const PEOPLE = [
  { email: 'admin@example.com', label: 'Admin: may do everything', isAdmin: true },
  { email: 'colleague@example.com', label: 'Colleague: is no admin', isAdmin: false },
]

export const PASSWORD = 'demo'

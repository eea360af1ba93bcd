-- The price stands on another table.
create view stripe_bookings as
select b.id, b.uid, b.paid, b.status, b."updatedAt",
       (select e.price from "EventType" e where e.id = b."eventTypeId") as total_cents,
       (select e.currency from "EventType" e where e.id = b."eventTypeId") as currency
from "Booking" b;

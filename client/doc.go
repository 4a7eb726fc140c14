// Package client connects an accounting program to Kontor: it signs a person in and keeps them signed in, holds a seat
// while they work, opens a company's database, brings copies from the premises, and exchanges documents.
//
// A program's day, without what may go wrong:
//
//	kontor, err := client.Connect(client.Config{Address: "kontor.example:443"})
//	session, err := kontor.SignIn(ctx, client.Credentials{Identifier: email, Password: password, Device: "Office PC"})
//	seat, err := session.HoldSeat(ctx, client.SeatRequest{Subscriber: subscriber, Company: company, Product: "books", DeviceID: id})
//	books, err := session.OpenCompany(ctx, client.OpenRequest{Company: company, DataArea: "books", Seat: seat})
//	err = books.InTx(ctx, func(tx pgx.Tx) error { … })
//	select {
//	case news := <-seat.News(): // somebody asks for the seat, or it will be taken away at news.TakeTime: save before
//	case <-seat.Lost(): // tell the person, by seat.Err(), why the work has ended
//	case <-done:
//	}
//	books.Close(ctx)
//	seat.Close(ctx)
//	session.SignOut(ctx)
//	kontor.Close()
//
// A held seat lives by one stream that is renewed at a third of its lease. A stream that breaks is followed by another, to any
// copy of Kontor, for as long as the lease lasts; where streams do not get through, single calls renew. A program that ends
// without Close leaves the seat to its lease. When all seats are taken, HoldSeat's *SeatsTakenError says who has them and what
// else can be done: WaitForSeat, AskForSeat, SeatRequest.TakeBack, SeatRequest.ReadOnly. CreateTravelSeat takes a seat out with
// a device that will have no network.
//
// What has no wrapper here is called through the generated clients of the contract (kontor.internal/proto/gen/go) on
// Session.Conn, which shows the session's token and gives the same errors.
//
// Every refusal is an *Error with a reason for programs and a text for people. Every method takes a context and may be
// called from several goroutines at once. What runs in the background belongs to the value that started it and has ended
// when that value's Close (or SignOut) returns.
package client

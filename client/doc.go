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
//	case news := <-seat.News(): // somebody asks for the seat, or will take it: tell the person, who saves
//	case <-seat.Lost(): // tell the person, by seat.Err(), why the work has ended
//	case <-done:
//	}
//	books.Close(ctx)
//	seat.Close(ctx)
//	session.SignOut(ctx)
//	kontor.Close()
//
// What has no wrapper here is called through the generated clients of the contract (kontor.internal/proto/gen/go) on
// Session.Conn, which shows the session's token and gives the same errors.
//
// Every refusal is an *Error with a reason for programs and a text for people. Every method takes a context and may be
// called from several goroutines at once. What runs in the background belongs to the value that started it and has ended
// when that value's Close (or SignOut) returns.
package client

package connection

import (
	"testing"
	"time"

	"kontor.internal/libs/failure"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	exchangev1 "kontor.internal/proto/gen/go/kontor/exchange/v1"
)

const number = "PL5260250274"

func TestOnlyInvoicingAndTradeSendAndOnlyBooksReceive(t *testing.T) {
	sends := map[exchangev1.Program]bool{
		exchangev1.Program_PROGRAM_START_FAKTURA: true, exchangev1.Program_PROGRAM_START_HANDEL: true,
		exchangev1.Program_PROGRAM_HANDEL_SALES: true, exchangev1.Program_PROGRAM_HANDEL_SALES_STOCK: true,
	}
	receives := map[exchangev1.Program]bool{
		exchangev1.Program_PROGRAM_START_MALA_KSIEGOWOSC: true, exchangev1.Program_PROGRAM_FINANSE_I_KSIEGOWOSC: true,
	}
	for from := range exchangev1.Program_name {
		for to := range exchangev1.Program_name {
			sender, receiver := exchangev1.Program(from), exchangev1.Program(to)
			want := commonv1.Reason_REASON_PROGRAM_PAIR_REFUSED
			if sends[sender] && receives[receiver] {
				want = commonv1.Reason_REASON_UNSPECIFIED
			}
			err := CheckEnds(End{number, sender}, End{number, receiver})
			if failure.Reason(err) != want {
				t.Errorf("%v to %v: %v", sender, receiver, err)
			}
		}
	}
}

func TestARefusedPairNamesBothProgramsAndWhatMay(t *testing.T) {
	err := CheckEnds(End{number, exchangev1.Program_PROGRAM_START_FAKTURA}, End{number, exchangev1.Program_PROGRAM_START_HANDEL})
	refusal := failure.From(err)
	if refusal.Meta("sender_program") != "Start Faktura" || refusal.Meta("receiver_program") != "Start Handel" ||
		refusal.Meta("allowed") != "Start Mała Księgowość, Finanse i Księgowość" {
		t.Errorf("got %v", err)
	}
}

func TestBothEndsHaveOneTaxNumber(t *testing.T) {
	for name, c := range map[string]struct {
		sender, receiver string
		want             commonv1.Reason
	}{
		"the same":                       {number, number, commonv1.Reason_REASON_UNSPECIFIED},
		"the same, written another way":  {"pl 526-025-02-74", number, commonv1.Reason_REASON_UNSPECIFIED},
		"another company's":              {number, "PL5260250275", commonv1.Reason_REASON_TAX_NUMBERS_DIFFER},
		"another country's":              {number, "LT5260250274", commonv1.Reason_REASON_TAX_NUMBERS_DIFFER},
		"none at the sender":             {"", number, commonv1.Reason_REASON_TAX_NUMBER_MISSING},
		"none at the receiver":           {number, " - ", commonv1.Reason_REASON_TAX_NUMBER_MISSING},
		"none anywhere is not one's own": {"", "", commonv1.Reason_REASON_TAX_NUMBER_MISSING},
	} {
		t.Run(name, func(t *testing.T) {
			err := CheckEnds(
				End{c.sender, exchangev1.Program_PROGRAM_START_FAKTURA},
				End{c.receiver, exchangev1.Program_PROGRAM_FINANSE_I_KSIEGOWOSC})
			if failure.Reason(err) != c.want {
				t.Fatalf("got %v", err)
			}
			if c.want == commonv1.Reason_REASON_TAX_NUMBERS_DIFFER {
				refusal := failure.From(err)
				if refusal.Meta("sender_tax_number") != c.sender || refusal.Meta("receiver_tax_number") != c.receiver {
					t.Errorf("does not name both: %v", err)
				}
			}
		})
	}
}

func TestAConnectionLivesAsItMay(t *testing.T) {
	const (
		pending = exchangev1.ConnectionState_CONNECTION_STATE_PENDING
		active  = exchangev1.ConnectionState_CONNECTION_STATE_ACTIVE
		paused  = exchangev1.ConnectionState_CONNECTION_STATE_PAUSED
		removed = exchangev1.ConnectionState_CONNECTION_STATE_REMOVED
	)
	if First(true) != active || First(false) != pending {
		t.Errorf("one subscriber's begins %v, two subscribers' begins %v", First(true), First(false))
	}
	may := map[exchangev1.ConnectionState]map[Action]exchangev1.ConnectionState{
		pending: {Accept: active, Remove: removed},
		active:  {Pause: paused, Remove: removed},
		paused:  {Resume: active, Remove: removed},
	}
	for number := range exchangev1.ConnectionState_name {
		from := exchangev1.ConnectionState(number)
		for _, action := range []Action{Accept, Pause, Resume, Remove, "sold"} {
			got, err := Next(from, action)
			if want, allowed := may[from][action]; allowed && (got != want || err != nil) ||
				!allowed && (got != from || failure.Reason(err) != commonv1.Reason_REASON_CONNECTION_STATE_REFUSED) {
				t.Errorf("%v, %v: %v, %v", from, action, got, err)
			}
		}
	}
}

func TestProgramsSynchroniseNeitherTooOftenNorTooSeldom(t *testing.T) {
	for interval, fine := range map[time.Duration]bool{
		0: false, 59 * time.Second: false, time.Minute: true, 24 * time.Hour: true, 24*time.Hour + 1: false,
	} {
		if err := CheckInterval(interval); (err == nil) != fine {
			t.Errorf("%v: %v", interval, err)
		}
	}
}

func TestAnAccountAtBothEndsMayWhatBothMay(t *testing.T) {
	c := Connection{Sender: Party{Account: "accounts/1"}, Receiver: Party{Account: "accounts/2"}}
	held := rightsOf(c)
	if len(held) != 2 || len(held["accounts/1"]) != 3 || len(held["accounts/2"]) != 3 {
		t.Error(held)
	}
	c.Receiver.Account = "accounts/1"
	if held := rightsOf(c); len(held) != 1 || len(held["accounts/1"]) != 4 {
		t.Error(held)
	}
	if held := rightsOf(Connection{Sender: Party{Account: "accounts/1"}}); len(held) != 1 {
		t.Errorf("an end without an account is given rights: %v", held)
	}
}

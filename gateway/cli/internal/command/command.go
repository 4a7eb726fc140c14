// Package command has the commands of kontor.
package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"
)

// Console is what a command reads from and writes to.
type Console struct {
	In         io.Reader
	Out        io.Writer
	Complaints io.Writer
	// Now is the machine's clock.
	Now func() time.Time
}

// What a command ends with.
const (
	fine        = 0
	found       = 1 // It did what it was asked, and the answer is no: a seat is not good, a snapshot is damaged.
	calledWrong = 2
	failed      = 3
)

// answerNo is an answer that a script should notice.
type answerNo struct{ error }

func (a answerNo) Unwrap() error { return a.error }

// failure is an error in doing what was asked rightly.
type failure struct{ error }

func (f failure) Unwrap() error { return f.error }

// Run carries out a command line and says what to end with.
func Run(ctx context.Context, args []string, c Console) int {
	root := &cobra.Command{
		Use: "kontor", Short: "Kontor on the command line", SilenceUsage: true, SilenceErrors: true,
		Long: `kontor is Kontor on the command line. It ends with 0 when all is well, 1 when the answer is no,
2 when it was called wrongly, 3 when it failed.`,
	}
	root.AddCommand(seatCommand(c.Now), snapshotCommand())
	root.SetArgs(args)
	root.SetIn(c.In)
	root.SetOut(c.Out)
	root.SetErr(c.Complaints)
	err := root.ExecuteContext(ctx)
	if err != nil {
		fmt.Fprintln(c.Complaints, "kontor:", printable(err.Error()))
	}
	switch {
	case err == nil:
		return fine
	case errors.As(err, new(answerNo)):
		return found
	case errors.As(err, new(failure)):
		return failed
	default:
		return calledWrong
	}
}

// printable keeps what a stranger wrote from steering a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) || r == '\n' {
			return r
		}
		return '?'
	}, s)
}

// readBounded reads a file that is not longer than it may be.
func readBounded(path string, limit int64) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err = errors.Join(err, file.Close()); err != nil {
		return nil, err
	}
	if int64(len(content)) > limit {
		return nil, fmt.Errorf("%s is longer than %d bytes", path, limit)
	}
	return content, nil
}

package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"kontor.internal/libs/blob"
	"kontor.internal/snapshot"
	"kontor.internal/snapshot/pgtool"
)

func snapshotCommand() *cobra.Command {
	r := &repositoryFlags{}
	cmd := &cobra.Command{
		Use: "snapshot", Short: "Read a company's snapshots with only their repository and keys, no service running",
		Long: `Reads the snapshots of one company: a repository in a folder or a bucket, and the file with the company's keys
(docs/snapshot-format.md). No service needs to run. SNAPSHOT is a sequence number, an id, or latest.`,
	}
	cmd.PersistentFlags().StringVar(&r.store, "store", "", "the object store: file:///folder or s3://bucket?region=…")
	cmd.PersistentFlags().StringVar(&r.folder, "folder", "", "the company's folder in the store")
	cmd.PersistentFlags().StringVar(&r.keys, "keys", "", "file with the company's keys")
	for _, name := range []string{"store", "folder", "keys"} {
		_ = cmd.MarkPersistentFlagRequired(name) // It is there.
	}
	cmd.AddCommand(snapshotList(r), snapshotShow(r), snapshotVerify(r), snapshotRestore(r), snapshotRows(r), snapshotCompare(r), snapshotFiles(r), snapshotFile(r))
	return cmd
}

// repositoryFlags say where snapshots lie, and what opens them.
type repositoryFlags struct{ store, folder, keys string }

// keysLimit bounds a file of keys.
const keysLimit = 1 << 20

// open the repository; done closes it.
func (f *repositoryFlags) open(ctx context.Context) (repo snapshot.Repository, done func() error, err error) {
	raw, err := readBounded(f.keys, keysLimit)
	if err != nil {
		return repo, nil, err
	}
	keys, err := snapshot.DecodeKeys(raw)
	if err != nil {
		return repo, nil, fmt.Errorf("%s: %w", f.keys, err)
	}
	bucket, err := blob.Open(ctx, f.store)
	if err != nil {
		return repo, nil, err
	}
	repo = snapshot.Repository{Store: snapshot.In(bucket), Folder: strings.Trim(f.folder, "/"), Keys: keys}
	return repo, bucket.Close, nil
}

// with runs a command on the repository.
func (f *repositoryFlags) with(run func(ctx context.Context, repo snapshot.Repository, cmd *cobra.Command, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		repo, done, err := f.open(cmd.Context())
		if err != nil {
			return err
		}
		err = run(cmd.Context(), repo, cmd, args)
		switch {
		case errors.Is(err, snapshot.ErrDamaged):
			err = answerNo{err}
		case err != nil:
			err = failure{err}
		}
		return errors.Join(err, done())
	}
}

// find a snapshot by what a person calls it.
func find(ctx context.Context, repo snapshot.Repository, called string) (snapshot.Ref, error) {
	refs, err := snapshot.List(ctx, repo)
	if err != nil {
		return snapshot.Ref{}, err
	}
	number, notNumber := strconv.ParseUint(called, 10, 64)
	for i := len(refs) - 1; i >= 0; i-- {
		if called == "latest" || refs[i].Snapshot.String() == called || (notNumber == nil && refs[i].Sequence == number) {
			return refs[i], nil
		}
	}
	return snapshot.Ref{}, fmt.Errorf("the repository has no snapshot %q", called)
}

func snapshotList(r *repositoryFlags) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the snapshots: sequence, moment, rows, bytes, id", Args: cobra.NoArgs,
		RunE: r.with(func(ctx context.Context, repo snapshot.Repository, cmd *cobra.Command, _ []string) error {
			refs, err := snapshot.List(ctx, repo)
			if err != nil {
				return err
			}
			var damaged error
			for _, ref := range refs {
				c, err := snapshot.Look(ctx, repo, ref, nil)
				if err != nil { // The others are still to be seen.
					fmt.Fprintf(cmd.OutOrStdout(), "%6d  %-20s  %12s  %14s  %s\n", ref.Sequence, "can't be read", "", "", ref.Snapshot)
					damaged = errors.Join(damaged, err)
					continue
				}
				rows, bytes := totals(c)
				fmt.Fprintf(cmd.OutOrStdout(), "%6d  %-20s  %12d  %14d  %s\n", ref.Sequence, c.Moment.Format(time.RFC3339), rows, bytes, ref.Snapshot)
			}
			return damaged
		}),
	}
}

func totals(c *snapshot.Contents) (rows, bytes int64) {
	for _, t := range c.Tables {
		rows, bytes = rows+t.Rows, bytes+t.Bytes
	}
	return rows, bytes
}

func snapshotShow(r *repositoryFlags) *cobra.Command {
	return &cobra.Command{
		Use: "show SNAPSHOT", Short: "Show a snapshot: its moment and its tables", Args: cobra.ExactArgs(1),
		RunE: r.with(func(ctx context.Context, repo snapshot.Repository, cmd *cobra.Command, args []string) error {
			ref, err := find(ctx, repo, args[0])
			if err != nil {
				return err
			}
			c, err := snapshot.Look(ctx, repo, ref, nil)
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			fmt.Fprintf(out, "snapshot %d of %s\nid       %s\ndatabase %s, PostgreSQL %d\npacks    %d\n\n",
				ref.Sequence, c.Moment.Format(time.RFC3339), ref.Snapshot, printable(c.Database), c.ServerVersion/10000, c.Packs)
			for _, t := range c.Tables {
				fmt.Fprintf(out, "%12d rows  %14d bytes  %s\n", t.Rows, t.Bytes, printable(t.Schema+"."+t.Name))
			}
			return nil
		}),
	}
}

func snapshotVerify(r *repositoryFlags) *cobra.Command {
	return &cobra.Command{
		Use: "verify SNAPSHOT", Short: "Read a snapshot back and check every byte of it", Args: cobra.ExactArgs(1),
		RunE: r.with(func(ctx context.Context, repo snapshot.Repository, cmd *cobra.Command, args []string) error {
			ref, err := find(ctx, repo, args[0])
			if err != nil {
				return err
			}
			if err := snapshot.Verify(ctx, repo, snapshot.VerifyOrder{Ref: ref}); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "snapshot %d is good\n", ref.Sequence)
			return nil
		}),
	}
}

func snapshotRestore(r *repositoryFlags) *cobra.Command {
	login := pgtool.Login{}
	var password, ca, bin string
	cmd := &cobra.Command{
		Use: "restore SNAPSHOT", Short: "Restore a snapshot into an empty database", Args: cobra.ExactArgs(1),
		Long: `Fills an empty database. The login must be allowed to create in it; what is restored becomes its own.
Needs pg_restore of the server's version or later.`,
	}
	cmd.Flags().StringVar(&login.Host, "host", "", "the server, or the folder of its socket")
	cmd.Flags().IntVar(&login.Port, "port", 5432, "its port")
	cmd.Flags().StringVar(&login.Database, "database", "", "the empty database")
	cmd.Flags().StringVar(&login.User, "user", "", "the login")
	cmd.Flags().StringVar(&password, "password-file", "", "file with the login's password")
	cmd.Flags().StringVar(&ca, "ca", "", "file with the certificate that vouches for the server; not needed for a socket")
	cmd.Flags().StringVar(&bin, "postgres-bin", "", "folder of pg_restore; found when left out")
	for _, name := range []string{"host", "database", "user"} {
		_ = cmd.MarkFlagRequired(name) // It is there.
	}
	cmd.RunE = r.with(func(ctx context.Context, repo snapshot.Repository, cmd *cobra.Command, args []string) error {
		for path, to := range map[string]*string{password: &login.Password, ca: &login.CA} {
			if path == "" {
				continue
			}
			content, err := readBounded(path, keysLimit)
			if err != nil {
				return err
			}
			*to = strings.TrimRight(string(content), "\r\n")
		}
		tools, err := pgtool.Find(ctx, bin)
		if err != nil {
			return err
		}
		ref, err := find(ctx, repo, args[0])
		if err != nil {
			return err
		}
		done, err := snapshot.Restore(ctx, repo, snapshot.RestoreOrder{Tools: tools, Login: &login, Ref: ref})
		if err != nil {
			return err
		}
		fmt.Fprintf(cmd.OutOrStdout(), "snapshot %d is restored to %s: %d rows\n", ref.Sequence, login.Database, done.Rows)
		return nil
	})
	return cmd
}

func snapshotRows(r *repositoryFlags) *cobra.Command {
	var table string
	cmd := &cobra.Command{
		Use: "rows SNAPSHOT", Short: "Write one table's rows as CSV, without restoring anything", Args: cobra.ExactArgs(1),
		Long: `Writes one table's rows as CSV, the columns' names first. NULL is an empty field, an empty text is "".`,
		RunE: r.with(func(ctx context.Context, repo snapshot.Repository, cmd *cobra.Command, args []string) error {
			ref, err := find(ctx, repo, args[0])
			if err != nil {
				return err
			}
			schema, name, ok := strings.Cut(table, ".")
			if !ok {
				schema, name = "public", table
			}
			return writeRows(ctx, repo, ref, schema, name, cmd.OutOrStdout())
		}),
	}
	cmd.Flags().StringVar(&table, "table", "", "the table, as schema.name")
	_ = cmd.MarkFlagRequired("table") // It is there.
	return cmd
}

func writeRows(ctx context.Context, repo snapshot.Repository, ref snapshot.Ref, schema, name string, out io.Writer) error {
	c, err := snapshot.Look(ctx, repo, ref, nil)
	if err != nil {
		return err
	}
	for _, t := range c.Tables {
		if t.Schema != schema || t.Name != name {
			continue
		}
		header := make([]*string, len(t.Columns))
		for i := range t.Columns {
			header[i] = &t.Columns[i]
		}
		if _, err := io.WriteString(out, csvLine(header)); err != nil {
			return err
		}
	}
	return snapshot.Lines(ctx, repo, ref, nil, schema, name, func(line []byte) error {
		_, err := io.WriteString(out, csvLine(snapshot.Fields(line)))
		return err
	})
}

// csvLine writes NULL and the empty text apart, which encoding/csv can't.
func csvLine(fields []*string) string {
	var b strings.Builder
	for i, f := range fields {
		if i > 0 {
			b.WriteByte(',')
		}
		switch {
		case f == nil:
		case *f == "" || strings.ContainsAny(*f, ",\"\r\n") || strings.TrimSpace(*f) != *f:
			b.WriteString(`"` + strings.ReplaceAll(*f, `"`, `""`) + `"`)
		default:
			b.WriteString(*f)
		}
	}
	b.WriteByte('\n')
	return b.String()
}

func snapshotCompare(r *repositoryFlags) *cobra.Command {
	var samples int
	cmd := &cobra.Command{
		Use: "compare SNAPSHOT SNAPSHOT", Short: "Tell what differs between two snapshots, table by table", Args: cobra.ExactArgs(2),
	}
	cmd.Flags().IntVar(&samples, "samples", 3, "rows of each kind to show of each table")
	cmd.RunE = r.with(func(ctx context.Context, repo snapshot.Repository, cmd *cobra.Command, args []string) error {
		before, err := find(ctx, repo, args[0])
		if err != nil {
			return err
		}
		after, err := find(ctx, repo, args[1])
		if err != nil {
			return err
		}
		differences, err := snapshot.Compare(ctx, repo, snapshot.CompareOrder{Before: before, After: after, Samples: samples})
		if err != nil {
			return err
		}
		for _, d := range differences {
			tellDifference(cmd.OutOrStdout(), d)
		}
		if len(differences) == 0 {
			fmt.Fprintln(cmd.OutOrStdout(), "all tables have the same rows")
		}
		return nil
	})
	return cmd
}

func tellDifference(out io.Writer, d snapshot.Difference) {
	name := printable(d.Schema + "." + d.Name)
	switch {
	case d.Fate == snapshot.FateAdded:
		fmt.Fprintf(out, "%s: new, %d rows\n", name, d.RowsAfter)
	case d.Fate == snapshot.FateRemoved:
		fmt.Fprintf(out, "%s: gone, had %d rows\n", name, d.RowsBefore)
	case d.ColumnsChanged:
		fmt.Fprintf(out, "%s: other columns, %d rows before, %d after\n", name, d.RowsBefore, d.RowsAfter)
	default:
		fmt.Fprintf(out, "%s: %d added, %d removed, %d changed, %d rows before, %d after\n", name, d.Added, d.Removed, d.Changed, d.RowsBefore, d.RowsAfter)
	}
	for _, s := range d.Samples {
		if s.Before != "" {
			fmt.Fprintf(out, "  - %s\n", printable(s.Before))
		}
		if s.After != "" {
			fmt.Fprintf(out, "  + %s\n", printable(s.After))
		}
	}
}

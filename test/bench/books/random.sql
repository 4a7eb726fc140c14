-- One row of 200 in every table, anywhere.
UPDATE account SET active = NOT active WHERE random() < 0.005;
UPDATE partner SET balance = balance + 1 WHERE random() < 0.005;
UPDATE product SET stock = stock + 1 WHERE random() < 0.005;
UPDATE invoice SET paid = paid + 1 WHERE random() < 0.005;
UPDATE invoice_line SET quantity = quantity + 1 WHERE random() < 0.005;
UPDATE entry SET text = text || '.' WHERE random() < 0.005;
UPDATE posting SET debit = debit + 1 WHERE random() < 0.005;
UPDATE audit SET actor = 'nobody' WHERE random() < 0.005;

-- What each permission may do in payroll. A text/template: group with a permission's name gives the quoted name of its group role
-- in this company, groups all of them. It runs after every upgrade and after all earlier grants in the schema were taken back.

GRANT USAGE ON SCHEMA payroll TO {{groups}};
GRANT SELECT ON payroll.employees, payroll.formulas, payroll.runs, payroll.payslips, payroll.payslip_lines TO {{groups}};
GRANT INSERT, UPDATE, DELETE ON payroll.employees, payroll.formulas, payroll.runs, payroll.payslips, payroll.payslip_lines
    TO {{group "payroll.manage"}};
GRANT SELECT ON payroll.change_history TO {{group "payroll.manage"}};

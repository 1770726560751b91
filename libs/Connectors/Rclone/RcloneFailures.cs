using System.Text.RegularExpressions;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Rclone;

/// <summary>What rclone's errors are in the contract's words. They are texts: its own, those of Go's libraries, and what servers say; the first line below that finds something of its own in one decides.</summary>
internal static partial class RcloneFailures
{
    private const int TextLengthMax = 600;

    /// <summary>A shorter one is a part of other words, and none of the signs below is as long but with words of its own.</summary>
    private const int NameLengthMin = 8;

    private static readonly (BackendError Error, Regex Signs)[] Kinds =
    [
        // Of requests a place may say that their quota is exceeded.
        (BackendError.Throttled, TooOften()),
        // A server whose drive is full may break the connection too.
        (BackendError.Full, NoRoom()),
        // A token that could not be fetched because nothing answers is not a wrong one.
        (BackendError.Unavailable, NoAnswer()),
        (BackendError.AccessDenied, Denied()),
        (BackendError.Refused, NotTaken()),
        (BackendError.PlaceMissing, NoPlace()),
    ];

    /// <param name="words">Left out of what is looked at: a name, a path or a host may have anything in it.</param>
    public static BackendException Of(RcloneException e, string what, IEnumerable<string> words, IEnumerable<string> secrets)
    {
        var text = e.Message;
        foreach (var secret in secrets) text = text.Replace(secret, "…", StringComparison.Ordinal);
        // The exception itself is not kept: it has the text as it came.
        return new(ErrorOf(e.Status, Plain(Without(words, text))), $"{what}: {Plain(text)}.");
    }

    /// <summary>It is the access token that the place does not take, and not what was asked with it.</summary>
    public static bool IsTokenRefused(RcloneException e, IEnumerable<string> words) => TokenRefused().IsMatch(Plain(Without(words, e.Message)));

    private static string Without(IEnumerable<string> words, string text)
    {
        foreach (var word in words.Where(w => w.Length >= NameLengthMin)) text = text.Replace(word, "…", StringComparison.Ordinal).Replace(Uri.EscapeDataString(word), "…", StringComparison.Ordinal);
        return text;
    }

    public static BackendError ErrorOf(int status, string text)
    {
        if (IsMissing(status, text)) return BackendError.NotFound;
        foreach (var (error, signs) in Kinds)
        {
            if (signs.IsMatch(text)) return error;
        }
        return BackendError.Unavailable;
    }

    /// <summary>rclone's own words for a file that is not there, or is a folder. Which of the two, 404 does not say: methods that there are not have it too.</summary>
    public static bool IsMissing(int status, string text) => text.EndsWith("object not found", StringComparison.Ordinal) || (status == 500 && text.EndsWith("is a directory not a file", StringComparison.Ordinal));

    public static bool IsFolderMissing(RcloneException e) => e.Message.EndsWith("directory not found", StringComparison.Ordinal);

    /// <summary>One line, without pages of HTML around it and without what may be the query of an address.</summary>
    public static string Plain(string text)
    {
        text = Spaces().Replace(Query().Replace(Tags().Replace(text, " "), "?…"), " ").Trim().TrimEnd('.');
        return text.Length > TextLengthMax ? $"{text[..TextLengthMax]}…" : text;
    }

    [GeneratedRegex(@"<[^<>]{1,300}>")]
    private static partial Regex Tags();

    [GeneratedRegex(@"\s+")]
    private static partial Regex Spaces();

    [GeneratedRegex(@"[?&][^\s=?&]+=[^\s'""<>]*")]
    private static partial Regex Query();

    [GeneratedRegex(@"link-local addresses are not allowed|dial tcp|no such host|connection refused|connection reset|broken pipe|i/o timeout|TLS handshake timeout|deadline exceeded|network is unreachable|no route to host|\bEOF\b|(^|[ *])426 |\b(500|502|503|504) [A-Z]|didn't find section in config", RegexOptions.IgnoreCase)]
    private static partial Regex NoAnswer();

    [GeneratedRegex(@"\b429\b|too.many.(requests|write.operations)|rate.?limit|activityLimitReached|slow.?down|throttl|(^|[ *:])421 ", RegexOptions.IgnoreCase)]
    private static partial Regex TooOften();

    // 451 with those words is what vsftpd says where the drive takes no more.
    [GeneratedRegex(@"no space left|disk full|\b507 |insufficient.?(storage|space)|quota.?(exceeded|limit)|QuotaExceeded|over.?quota|storage.?limit.?exceeded|not.enough.(space|quota)|(^|[ *:])(452|552) |451 Failure writing to local file", RegexOptions.IgnoreCase)]
    private static partial Regex NoRoom();

    [GeneratedRegex(@"unable to authenticate|(^|[ *:])(530|532) |\b40[13] [A-Z]|unauthori[sz]ed|forbidden|permission denied|access.?denied|logon is invalid|invalid_grant|invalid_client|invalid.?(access.?)?token|expired.?(access.?)?token|token.{0,20}expired|(fetch|empty) token|InvalidAuthentication|insufficient.?permission|read-only file system|knownhosts: |x509: |certificate|ssh: no key found|parse private key|host key", RegexOptions.IgnoreCase)]
    private static partial Regex Denied();

    [GeneratedRegex(@"\b401\b|unauthori[sz]ed|(expired|invalid).?(access.?)?token|token.{0,20}expired|InvalidAuthentication", RegexOptions.IgnoreCase)]
    private static partial Regex TokenRefused();

    [GeneratedRegex(@"is a (file not a directory|directory not a file)|(^|[ *:])553 |(file ?name|path|name) too long|SSH_FX_BAD_MESSAGE|malformed_path|disallowed_name|invalid.?(file ?)?name|too.?large|\b413 |maximum.{0,20}size", RegexOptions.IgnoreCase)]
    private static partial Regex NotTaken();

    [GeneratedRegex(@"directory not found|file does not exist|NoSuchBucket|bucket.{0,40}(not exist|not found)|bad.?network.?name|share.{0,40}not found|path/not_found|itemNotFound|root directory ID|drive_id|couldn't find backend|is a file$", RegexOptions.IgnoreCase)]
    private static partial Regex NoPlace();
}

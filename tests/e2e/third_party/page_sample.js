// The Node.js sample of the vendor's page of getSecuritySessions, with npm's `socket.io-client` 2.x. Changed: the
// hosts, `transports` (polling is not served by the simulator), and a JSON line for each thing that happens.
//
//   node page_sample.js API-PORT STREAM-PORT LOGIN PASSWORD
'use strict';

let io = require('socket.io-client');
let cookie = require('cookie');

const [apiPort, streamPort, login, password] = process.argv.slice(2);
const tell = (what) => process.stdout.write(JSON.stringify(what) + '\n');

let sidPromise = new Promise(function (resolve, reject) {
    let querystring     = require('querystring');
    let https           = require('https');

    let authData = {
        login: login,
        password: password,
        rememberMe: 1
    };

    let postData = querystring.stringify(authData);

    let postOptions = {
          host: 'localhost',
          port: apiPort,
          path: '/api/check-login-password',
          method: 'POST',
          headers: {
              'Content-Type': 'application/x-www-form-urlencoded',
              'Content-Length': Buffer.byteLength(postData),
              'User-Agent': 'node'
          }
    };

    let postRequest = https.request(postOptions, function(res) {
        res.setEncoding('utf8');
        res.on('data', function (chunk) {
            let jsonResponse = JSON.parse(chunk);

            if(jsonResponse.error) {
                tell({ event: 'REFUSED', error: jsonResponse.error });
                reject(jsonResponse.error);
            } else {
                let sessionID,
                    userID;

                this.headers['set-cookie'].forEach(function (c) {
                    let cookieStrVal = c.split(';')[0] || c;
                    let cookieName = cookieStrVal.split('=')[0];

                    switch (cookieName) {
                        case 'SID':
                            sessionID = cookieStrVal.split('=')[1];
                            break;
                        case 'uid':
                            userID = cookieStrVal.split('=')[1];
                            break;
                    }
                });

                resolve({
                    'user-id': userID,
                    'session-id': sessionID
                });
            }
        });
    });

    // post the data
    postRequest.write(postData);
    postRequest.end();
});

sidPromise.then(function (sid) {

    let WebSocketsURL = `wss://localhost:${streamPort}/?SID=${sid['session-id']}`;
    let ws = io(WebSocketsURL, {
        transports: ['websocket'],
        extraHeaders: {
            'cookie': cookie.serialize('SID', sid['session-id'])
        }
    });

    tell({ event: 'LOGIN', user: sid['user-id'] });

    ws.on("sup_iitr_notify_sessions_json",

      function (err, data) {
        if (err) {
          tell({ event: 'ERR', err });
        } else {
          let totalSessions = data[0].response.res;
          let maxExpireTime = 0;
          if (!totalSessions) {
              tell({ event: 'sessions', ids: [] });
          } else {
              totalSessions.forEach(
                function (sess) {
                  maxExpireTime = Math.max(maxExpireTime, sess.expire);
                }
              );

              tell({ event: 'sessions', ids: totalSessions.map((sess) => sess.id), maxExpireTime });
          }

        }
      }
    );

    ws.on('connect', function () {

      tell({ event: 'CONNECT' });
      ws.emit('sup_subscribe', 'iitr_notify_sessions_json', '%username');

    });

    ws.on('error', function (err) {
        tell({ event: 'ERROR', err: String(err) });
    });

    ws.on('reconnect_attempt', function (attempt) {
        tell({ event: 'RECONNECT_ATTEMPT', attempt });
    });

    ws.on('reconnect_error', function (err) {
        tell({ event: 'RECONNECT_ERROR', err: String(err) });
    });
});
